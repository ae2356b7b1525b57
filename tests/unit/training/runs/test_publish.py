"""Publishing a run: only shipped files are copied, and every placeholder of a card is filled in."""

import json
import re
from pathlib import Path
from typing import ClassVar

import pytest

from models.manifest import ARTIFACTS, MANIFEST_FILE
from training.errors import PublishError
from training.recipe import RECIPES, CriticRecipe, DetectorRecipe, PersonaRecipe, SafetyRecipe
from training.runs import publish
from training.runs.publish import publish_run, publish_to_hub
from training.runs.publish_checks import TREE_BYTES

HASHES = {
    "content_hash": "a" * 64,
    "base_hash": "b" * 64,
    "training_data_hash": "c" * 64,
}
DETECTOR = {
    "base": "minilm-l6",
    "max_tokens": 128,
    "temperature": 1.25,
    "metrics": {"emotion_val_accuracy": 0.91},
    **HASHES,
}
SAFETY: dict[str, object] = {
    "kind": "safety",
    "base": "minilm-l6",
    "thresholds": {"crisis": 0.9, "concern": 0.5},
    "metrics": {},
    **HASHES,
}
CRITIC: dict[str, object] = {
    "kind": "critic",
    "base": "minilm-l6",
    "max_tokens": 96,
    "metrics": {"pick_p1": 0.87},
    **HASHES,
}
PREFIXES = ("critic-", "detector-", "judge-", "personas-", "preference-", "safety-")
ADAPTER = {
    "base": "gemma-3-270m",
    "name": "joy",
    "persona": "joy",
    "rank": 8,
    "alpha": 16,
    "target_modules": ["q_proj"],
    "prompt_version": "friend-1",
    "metrics": {"held_out_nll": 2.5},
    **HASHES,
}


def write_artifact(folder: Path, manifest: dict[str, object], weights: str) -> None:
    folder.mkdir(parents=True)
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    (folder / weights).write_bytes(b"weights")
    (folder / "optimizer.pt").write_bytes(b"not to be shipped")


def write_recipe(
    run: Path, recipe: CriticRecipe | DetectorRecipe | PersonaRecipe | SafetyRecipe
) -> None:
    record = {"recipe": recipe.model_dump(mode="json"), "data_sha256": {}}
    (run / "recipe.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("recipe", "where"),
    [("detector-minilm-l6", "detectors/minilm-l6"), ("judge-minilm-l6", "judge")],
)
def test_detector_and_judge_are_published_to_their_folders(
    tmp_path: Path, recipe: str, where: str
) -> None:
    write_artifact(tmp_path / "run" / "artifact", DETECTOR, "model.safetensors")
    write_recipe(tmp_path / "run", DetectorRecipe.read(recipe))
    out = tmp_path / "out" / where
    assert publish_run(tmp_path / "run", tmp_path / "out") == [out]
    published = {path.name for path in out.iterdir()}
    assert published == {MANIFEST_FILE, "model.safetensors", "README.md"}
    card = (out / "README.md").read_text()
    assert "| emotion_val_accuracy | 0.91 |" in card
    assert f"unsplit_rows = {DetectorRecipe.read(recipe).unsplit_rows}" in card


def test_critic_is_published_with_a_card(tmp_path: Path) -> None:
    write_artifact(tmp_path / "run" / "artifact", CRITIC, "model.safetensors")
    write_recipe(tmp_path / "run", CriticRecipe.read("critic-minilm-l6"))
    out = tmp_path / "out" / "critic"
    assert publish_run(tmp_path / "run", tmp_path / "out") == [out]
    published = {path.name for path in out.iterdir()}
    assert published == {MANIFEST_FILE, "model.safetensors", "README.md"}
    card = (out / "README.md").read_text()
    assert "| pick_p1 | 0.87 |" in card
    assert "wrong_answers = 2" in card
    pair_set = CriticRecipe.read("critic-minilm-l6").pair_set
    assert f"The {pair_set} pairs" in card
    assert f"`training/data/{pair_set}/`" in card
    assert re.search(r"\$[a-z_{]", card) is None


def test_safety_classifier_is_published_with_the_card_of_its_evaluation(tmp_path: Path) -> None:
    artifact = tmp_path / "run" / "artifact"
    write_artifact(artifact, SAFETY, "model.safetensors")
    write_recipe(tmp_path / "run", SafetyRecipe.read("safety-minilm-l6"))
    out = tmp_path / "out" / "safety"
    with pytest.raises(PublishError, match="evaluate-safety"):
        publish_run(tmp_path / "run", tmp_path / "out")
    assert not out.exists()
    (artifact / "README.md").write_text("measured")
    assert publish_run(tmp_path / "run", tmp_path / "out") == [out]
    published = {path.name for path in out.iterdir()}
    assert published == {MANIFEST_FILE, "model.safetensors", "README.md"}
    assert (out / "README.md").read_text() == "measured"


def test_adapter_replaces_the_published_one(tmp_path: Path) -> None:
    write_artifact(tmp_path / "run" / "joy" / "adapter", ADAPTER, "adapter_model.safetensors")
    write_recipe(tmp_path / "run", PersonaRecipe.read("personas-gemma-3-270m"))
    (tmp_path / "out" / "adapters" / "joy").mkdir(parents=True)
    (tmp_path / "out" / "adapters" / "joy" / "old.bin").touch()
    (out,) = publish_run(tmp_path / "run", tmp_path / "out")
    published = {path.name for path in out.iterdir()}
    assert published == {MANIFEST_FILE, "adapter_model.safetensors", "README.md"}
    assert "| held_out_nll | 2.5 |" in (out / "README.md").read_text()


@pytest.mark.parametrize(
    "card", sorted(ARTIFACTS.rglob("README.md")), ids=lambda path: path.parent.name
)
def test_shipped_card_has_no_open_placeholder_and_names_its_artefact(card: Path) -> None:
    text = card.read_text("utf-8")
    assert "more information needed" not in text.lower()
    assert re.search(r"\$[a-z_{]", text) is None
    assert json.loads((card.parent / MANIFEST_FILE).read_text())["content_hash"] in text


def test_every_recipe_is_named_after_the_model_it_trains() -> None:
    names = {path.stem for path in RECIPES.glob("*.toml")}
    assert names == {n for n in names if n.startswith(PREFIXES)}


def write_detector_run(run: Path, base: str, size: int = 7) -> Path:
    write_artifact(run / "artifact", {**DETECTOR, "base": base}, "model.safetensors")
    with (run / "artifact" / "model.safetensors").open("wb") as file:
        file.truncate(size)
    write_recipe(run, DetectorRecipe.read("detector-bert-base"))
    return run


def test_large_artefact_enters_the_repository_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    monkeypatch.setattr(publish, "ARTIFACTS", tree)
    run = write_detector_run(tmp_path / "run", "minilm-l6", size=TREE_BYTES)
    with pytest.raises(PublishError, match=r"10 MB.*--to FOLDER or --hub"):
        publish_run(run, tree)
    monkeypatch.chdir(tmp_path)
    for name in ("tree", "tree/../tree", "tree/more"):
        with pytest.raises(PublishError, match=r"10 MB.*--to FOLDER or --hub"):
            publish_run(run, Path(name))
    assert not tree.exists()
    assert publish_run(run, tmp_path / "elsewhere") == [
        tmp_path / "elsewhere" / "detectors" / "minilm-l6"
    ]
    assert publish_run(run, tree, large=True) == [tree / "detectors" / "minilm-l6"]


def test_unpinned_base_is_published_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FYE_CACHE", str(tmp_path / "cache"))
    run = write_detector_run(tmp_path / "run", "bert-base-uncased")
    with pytest.raises(PublishError, match=r"bert-base-uncased are not pinned.*COMMIT"):
        publish_run(run, tmp_path / "out")
    cached = tmp_path / "cache" / "bert-base-uncased-latest"
    cached.mkdir(parents=True)
    (cached / "source.json").write_text(json.dumps({"revision": "f" * 40, "sha256": "b" * 64}))
    with pytest.raises(PublishError, match=f'revision = "{"f" * 40}"'):
        publish_run(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (out,) = publish_run(run, tmp_path / "out", unpinned=True)
    assert (out / MANIFEST_FILE).exists()


def test_run_without_artefact_is_not_published(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="holds no artefact"):
        publish_run(tmp_path)


class FakeHub:
    """Hub that records the repository and the files that are uploaded to it."""

    repos: ClassVar[dict[str, set[str]]] = {}

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        assert private
        assert exist_ok
        self.repos[repo_id] = set()

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> None:
        files = (path for path in Path(folder_path).rglob("*") if path.is_file())
        self.repos[repo_id] = {str(path.relative_to(folder_path)) for path in files}


def test_run_is_published_to_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "HfApi", FakeHub)
    run = write_detector_run(tmp_path / "run", "minilm-l6", size=TREE_BYTES + 1)
    assert publish_to_hub(run, "me/detector") == "https://huggingface.co/me/detector"
    folder = "detectors/minilm-l6"
    assert FakeHub.repos["me/detector"] == {
        f"{folder}/{name}" for name in (MANIFEST_FILE, "model.safetensors", "README.md")
    }
