"""What the README and the pages of docs/ tell a reader to type exists and parses."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from serve.__main__ import app as serve_app
from training.__main__ import app as training_app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = "\n".join(
    [README, *(page.read_text("utf-8") for page in sorted((ROOT / "docs").glob("*.md")))]
)
COMMANDS = [
    re.split("  #| >> ", line)[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", PAGES, re.DOTALL)
    for line in block.splitlines()
    if line
]
APPS = {"serve": serve_app, "training": training_app}


def test_there_are_commands() -> None:
    assert "make serve" in COMMANDS
    assert "make test" in COMMANDS


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("make ")])
def test_make_targets_exist(line: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert line.split()[1] in targets


@pytest.mark.parametrize("line", [line for line in COMMANDS if "python -m " in line])
def test_commands_parse(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command parses its arguments in a folder that has the paths that they name."""
    words = shlex.split(line)
    start = words.index("-m")
    name, *arguments = words[start + 2 :]
    for path in (tmp_path / word for word in arguments if "/" in word):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch() if path.suffix else path.mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path)
    command = typer.main.get_command(APPS[words[start + 1]]).commands[name]  # type: ignore[attr-defined]
    command.make_context(name, arguments)


def test_the_tree_names_files_that_exist() -> None:
    tree = re.search(r"```text\n(serve/.*?)```", README, re.DOTALL)
    assert tree is not None
    folder = ""
    for line in tree.group(1).splitlines():
        name = line.split()[0] if line.split() else ""
        folder, path = (name, name) if not line.startswith(" ") else (folder, folder + name)
        assert (ROOT / path).exists(), path
