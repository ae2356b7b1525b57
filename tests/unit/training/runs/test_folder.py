"""What a run leaves behind, and that it cannot be resumed with another recipe or other data."""

import json
import subprocess
from pathlib import Path

import pytest
import torch

from training.runs import folder
from training.errors import RecipeError
from training.recipe import DetectorRecipe, PersonaRecipe
from training.runs.folder import environment, git_revision, open_run, write_results

RECIPE = DetectorRecipe(base="minilm-l6", lora_modules=("q", "v"))
HASHES = {"training": "0" * 64}
PNG = b"\x89PNG\r\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, taken for the project's own."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    for key, value in {"GLOBAL": "/dev/null", "NOSYSTEM": "1"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{key}", value)
    monkeypatch.setattr(folder, "ROOT", tmp_path)
    (tmp_path / "code.py").write_text("one = 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "-c", "user.name=Test", "-c", "user.email=test@localhost", "commit", "-qm", "one")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def record(run: Path, name: str = "recipe.json") -> dict[str, object]:
    found: dict[str, object] = json.loads((run / name).read_text("utf-8"))
    return found


def test_a_run_records_recipe_and_data(tmp_path: Path) -> None:
    open_run(tmp_path / "runs" / "one", RECIPE, HASHES)
    found = record(tmp_path / "runs" / "one")
    assert found == {"recipe": RECIPE.model_dump(mode="json"), "data_sha256": HASHES}
    assert DetectorRecipe.model_validate(found["recipe"]) == RECIPE


def test_a_run_records_its_environment(tmp_path: Path) -> None:
    open_run(tmp_path, RECIPE, HASHES)
    found = record(tmp_path, "environment.json")
    assert found == environment()
    assert found.keys() == {"python", "packages", "machine", "git_revision"}
    assert found["packages"]["torch"] == torch.__version__  # type: ignore[index]
    assert found["machine"].keys() == {"device", "cpus", "architecture", "cpu_capability"}  # type: ignore[attr-defined]


def test_a_package_that_is_not_there_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "PACKAGES", ("torch", "no-such-package"))
    assert environment()["packages"] == {"torch": torch.__version__}


def test_the_same_recipe_and_data_may_go_on(tmp_path: Path) -> None:
    open_run(tmp_path, RECIPE, HASHES)
    before = (tmp_path / "recipe.json").read_bytes()
    open_run(tmp_path, RECIPE.model_copy(), dict(HASHES))
    assert (tmp_path / "recipe.json").read_bytes() == before


@pytest.mark.parametrize(
    ("recipe", "hashes"),
    [
        (RECIPE.model_copy(update={"seed": 1}), HASHES),
        (RECIPE.model_copy(update={"lora_modules": ("q",)}), HASHES),
        (PersonaRecipe(base="minilm-l6"), HASHES),
        (RECIPE, {"training": "1" * 64}),
        (RECIPE, {**HASHES, "more": "0" * 64}),
    ],
)
def test_another_recipe_or_other_data_is_refused(tmp_path: Path, recipe: DetectorRecipe | PersonaRecipe, hashes: dict[str, str]) -> None:
    open_run(tmp_path, RECIPE, HASHES)
    before = (tmp_path / "recipe.json").read_bytes()
    with pytest.raises(RecipeError, match="another recipe or other data"):
        open_run(tmp_path, recipe, hashes)
    assert (tmp_path / "recipe.json").read_bytes() == before


def test_a_revision_is_the_commit(repository: Path) -> None:
    assert git_revision() == git(repository, "rev-parse", "HEAD")


@pytest.mark.parametrize("name", ["code.py", "new.py"])
def test_a_revision_marks_changes(repository: Path, name: str) -> None:
    (repository / name).write_text("two = 2\n")
    assert git_revision() == git(repository, "rev-parse", "HEAD") + "+changes"


def test_there_is_no_revision_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(folder, "ROOT", tmp_path)
    assert git_revision() == "unknown"


def test_there_is_no_revision_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision() == "unknown"


def test_results_are_numbers_and_a_curve(tmp_path: Path) -> None:
    history = [{"step": 10, "loss": 2.0}, {"step": 20, "loss": 1.5}, {"step": 20, "eval_loss": 1.7}]
    write_results(tmp_path, history, {"accuracy": 0.5})
    assert record(tmp_path, "metrics.json") == {"metrics": {"accuracy": 0.5}, "history": history}
    assert (tmp_path / "loss.png").read_bytes().startswith(PNG)


def test_a_run_too_short_for_a_loss_has_results_too(tmp_path: Path) -> None:
    write_results(tmp_path, [], {})
    assert (tmp_path / "loss.png").read_bytes().startswith(PNG)
