"""The record of a run, and that a run cannot be resumed with another recipe or other data."""

import json
import subprocess
from pathlib import Path

import pytest
import torch

from training.errors import RecipeError
from training.recipe import DetectorRecipe, PersonaRecipe
from training.runs import folder
from training.runs.folder import environment, git_revision, open_run, write_results

RECIPE = DetectorRecipe(base="minilm-l6", lora_modules=("q", "v"))
HASHES = {"training": "0" * 64}
PNG = b"\x89PNG\r\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a repository with one commit, in place of the project's own."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setattr(folder, "ROOT", tmp_path)
    (tmp_path / "code.py").write_text("one = 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "code.py")
    identity = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
    git(tmp_path, *identity, "commit", "-qm", "one")
    return tmp_path


def git(repository: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    result = subprocess.run(command, cwd=repository, check=True, capture_output=True, text=True)
    return result.stdout.strip()


def read_json(run: Path, name: str = "recipe.json") -> dict[str, object]:
    content: dict[str, object] = json.loads((run / name).read_text("utf-8"))
    return content


def test_run_records_recipe_and_data_hashes(tmp_path: Path) -> None:
    open_run(tmp_path / "runs" / "one", RECIPE, HASHES)
    record = read_json(tmp_path / "runs" / "one")
    assert record == {"recipe": RECIPE.model_dump(mode="json"), "data_sha256": HASHES}
    assert DetectorRecipe.model_validate(record["recipe"]) == RECIPE


def test_run_records_its_environment(tmp_path: Path) -> None:
    open_run(tmp_path, RECIPE, HASHES)
    record = read_json(tmp_path, "environment.json")
    assert record == environment()
    assert record.keys() == {"python", "packages", "machine", "git_revision"}
    assert record["packages"]["torch"] == torch.__version__  # type: ignore[index]
    machine = {"device", "cpus", "architecture", "cpu_capability"}
    assert record["machine"].keys() == machine  # type: ignore[attr-defined]


def test_environment_omits_packages_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "PACKAGES", ("torch", "no-such-package"))
    assert environment()["packages"] == {"torch": torch.__version__}


def test_resumes_with_the_same_recipe_and_data(tmp_path: Path) -> None:
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
def test_rejects_resume_with_another_recipe_or_other_data(
    tmp_path: Path, recipe: DetectorRecipe | PersonaRecipe, hashes: dict[str, str]
) -> None:
    open_run(tmp_path, RECIPE, HASHES)
    before = (tmp_path / "recipe.json").read_bytes()
    with pytest.raises(RecipeError, match="another recipe or other data"):
        open_run(tmp_path, recipe, hashes)
    assert (tmp_path / "recipe.json").read_bytes() == before


def test_revision_is_the_commit(repository: Path) -> None:
    assert git_revision() == git(repository, "rev-parse", "HEAD")


@pytest.mark.parametrize("name", ["code.py", "new.py"])
def test_revision_marks_changes(repository: Path, name: str) -> None:
    (repository / name).write_text("two = 2\n")
    assert git_revision() == git(repository, "rev-parse", "HEAD") + "+changes"


def test_revision_is_unknown_outside_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(folder, "ROOT", tmp_path)
    assert git_revision() == "unknown"


def test_revision_is_unknown_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision() == "unknown"


def test_results_are_metrics_and_a_loss_curve(tmp_path: Path) -> None:
    history = [
        {"step": 10, "loss": 2.0},
        {"step": 20, "loss": 1.5},
        {"step": 20, "eval_loss": 1.7},
    ]
    write_results(tmp_path, history, {"accuracy": 0.5})
    assert read_json(tmp_path, "metrics.json") == {
        "metrics": {"accuracy": 0.5},
        "history": history,
    }
    assert (tmp_path / "loss.png").read_bytes().startswith(PNG)


def test_run_too_short_for_a_loss_has_results(tmp_path: Path) -> None:
    write_results(tmp_path, [], {})
    assert (tmp_path / "loss.png").read_bytes().startswith(PNG)


def test_only_the_process_of_rank_0_writes_and_all_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    open_run(tmp_path / "run", RECIPE, HASHES)
    assert list((tmp_path / "run").iterdir()) == []
    monkeypatch.setenv("RANK", "0")
    open_run(tmp_path / "run", RECIPE, HASHES)
    assert read_json(tmp_path / "run")["data_sha256"] == HASHES
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(RecipeError, match="cannot resume"):
        open_run(tmp_path / "run", RECIPE.model_copy(update={"seed": 1}), HASHES)
