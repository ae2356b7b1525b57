"""One environment trains on a GPU and one serves on it: each has every package that it imports."""

import ast
import importlib.metadata
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
OWN = {"models", "serve", "training"}
# Packages whose distribution has another name here than in the GPU environments.
NAMES = {"vllm": "vllm", "unsloth": "unsloth"}
# Imported by parts that the environment does not run: base weights in GGUF files are for CPUs, and
# the plots of a simulation need no GPU.
NOT_NEEDED = {"gpu": {"gguf", "matplotlib"}, "train-gpu": set(), "train": {"unsloth"}}
CASES = [("gpu", "serve"), ("train-gpu", "training"), ("train", "training")]


def imported(package: str) -> set[str]:
    """Return the top-level names that the files of a package import, wherever the import stands."""
    names: set[str] = set()
    for file in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(str(node.module))
    return {name.split(".")[0] for name in names} - OWN - set(sys.stdlib_module_names)


def locked(environment: str) -> set[str]:
    text = (ROOT / "requirements" / f"{environment}.txt").read_text("utf-8")
    return {normalized(name) for name in re.findall(r"^([\w.-]+)(?:\[.*\])?==", text, re.MULTILINE)}


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(("environment", "package"), CASES)
def test_environment_has_every_imported_package(environment: str, package: str) -> None:
    distributions = importlib.metadata.packages_distributions()
    needed = (imported(package) | imported("models")) - NOT_NEEDED[environment]
    # torch is installed before the CPU locks, from a +cpu wheel.
    found = locked(environment) | ({"torch"} if environment == "train" else set())
    missing = {
        name
        for name in needed
        if not {normalized(each) for each in [NAMES.get(name, ""), *distributions.get(name, [])]}
        & found
    }
    assert missing == set()
    assert {"torch", "transformers"} <= needed


def test_readme_trains_in_one_environment_and_serves_in_the_other() -> None:
    commands = re.findall(r"^\.(venv-[\w-]+)/bin/python -m (\w+)", README, re.MULTILINE)
    assert set(commands) == {("venv-train-gpu", "training"), ("venv-gpu", "serve")}
