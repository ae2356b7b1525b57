"""Commands, links and file names in the README and the pages of docs/ exist and parse."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from serve.__main__ import app as serve_app
from training.__main__ import app as training_app

ROOT = Path(__file__).parents[2]
README_LINES = 150
PROSE_COLUMNS = 120
CODE_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
OURS = re.compile(r"python -m (serve|training) ")
TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
ROOT_PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES = {
    str(page.relative_to(ROOT)): page.read_text("utf-8")
    for page in [*ROOT_PAGES, *sorted((ROOT / "docs").rglob("*.md"))]
}
README = PAGES["README.md"]
COMMANDS = [
    re.split("  #| >> ", line)[0].strip()
    for page in PAGES.values()
    for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    for line in block.splitlines()
    if line
]
APPS = {"serve": serve_app, "training": training_app}


def is_ours(line: str) -> bool:
    """Return whether a line runs a command of this project here, and not in a pod."""
    return bool(OURS.search(line)) and "kubectl" not in line


def test_there_are_commands() -> None:
    assert "make serve" in COMMANDS
    assert "make test" in COMMANDS


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("make ")])
def test_make_targets_exist(line: str) -> None:
    targets = TARGET.findall((ROOT / "Makefile").read_text("utf-8"))
    assert line.split()[1] in targets


@pytest.mark.parametrize("line", [line for line in COMMANDS if is_ours(line)])
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


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", CODE_BLOCK.sub("", PAGES[page]))
    folder = (ROOT / page).parent
    missing = [link for link in links if "://" not in link and not (folder / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_prose_fits_the_columns(page: str) -> None:
    prose = CODE_BLOCK.sub("", PAGES[page]).splitlines()
    long = [line for line in prose if len(line) > PROSE_COLUMNS and not line.startswith("|")]
    assert not long


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= README_LINES


def test_the_tree_names_folders_that_exist() -> None:
    assert all((ROOT / path).is_dir() for path in _tree())


def test_the_tree_names_every_room_of_serve() -> None:
    rooms = {f"serve/{path.parent.name}/" for path in (ROOT / "serve").glob("*/__init__.py")}
    assert rooms <= set(_tree())


def _tree() -> list[str]:
    """Return the paths in the first column of the README's tree."""
    tree = re.search(r"```text\n(serve/.*?)```", README, re.DOTALL)
    assert tree is not None
    paths: list[str] = []
    folder = ""
    for line in tree.group(1).splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            folder = name
        paths.append(folder if name == folder else folder + name)
    return paths
