"""Independence of the CPU operators from the rest of the project."""

import ast
from pathlib import Path

import pytest

from serve.engine import vllm_cpu

PACKAGE = vllm_cpu.__name__
PROJECT = ("models", "serve", "training")
FILES = sorted(Path(vllm_cpu.__file__).parent.glob("*.py"))


def imported_modules(file: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append("." * node.level + (node.module or ""))
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_imports_nothing_of_the_project_but_itself(file: Path) -> None:
    own = [name for name in imported_modules(file) if name.partition(".")[0] in PROJECT]
    assert [name for name in own if not name.startswith(PACKAGE)] == []
