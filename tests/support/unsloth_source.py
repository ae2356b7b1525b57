"""Source of the pinned Unsloth, read without importing it: it does not import without a GPU.

It is found in `.venv-train-gpu`, which `make train-gpu` builds, or as a wheel in `.wheels`:

    pip download --no-deps --dest .wheels unsloth==2026.10.7 unsloth_zoo==2026.10.9
"""

import ast
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
INSTALLED = ".venv-train-gpu/lib/python*/site-packages"
WHEELS = ".wheels"
Function = ast.FunctionDef | ast.AsyncFunctionDef


def find_source(package: str = "unsloth") -> Path | None:
    """Return the folder or the wheel that holds the package, None if there is neither."""
    folders = [path for path in ROOT.glob(INSTALLED) if (path / package).is_dir()]
    wheels = sorted((ROOT / WHEELS).glob(f"{package}-*.whl"))
    return next(iter([*folders, *wheels]), None)


def version(source: Path) -> str:
    """Return the version of the package."""
    if source.suffix == ".whl":
        return source.name.split("-")[1]
    return next(source.glob("unsloth-*.dist-info")).name.split("-")[1].removesuffix(".dist")


def parse(source: Path, module: str, package: str = "unsloth") -> ast.Module:
    """Parse a file of the package, as "models/llama.py"."""
    name = f"{package}/{module}"
    if source.suffix == ".whl":
        with zipfile.ZipFile(source) as wheel:
            return ast.parse(wheel.read(name))
    return ast.parse((source / name).read_text("utf-8"))


def method(tree: ast.Module, owner: str, name: str) -> Function:
    """Return a method of a class."""
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == owner)
    (function,) = (node for node in found.body if isinstance(node, Function) and node.name == name)
    return function


def parameters(function: Function) -> set[str]:
    """Return the names of a function's own parameters, without `*args` and `**kwargs`."""
    given = function.args
    return {each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)}
