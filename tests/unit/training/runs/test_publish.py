"""Publishing a run: only what ships is copied, and every card is filled in."""

import json
from pathlib import Path

import pytest

from models.detector.harm import HARM_MANIFEST, HARM_WEIGHTS
from models.manifest import ARTIFACTS, MANIFEST_FILE
from training.runs.publish import publish_run
from training.recipe import RECIPES, DetectorRecipe, PersonaRecipe

HASHES = {"content_hash": "a" * 64, "base_hash": "b" * 64, "training_data_hash": "c" * 64}
DETECTOR = {"base": "minilm-l6", "max_tokens": 128, "temperature": 1.25, "metrics": {"emotion_val_accuracy": 0.91}, **HASHES}
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


def write(folder: Path, manifest: dict[str, object], weights: str) -> None:
    folder.mkdir(parents=True)
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    (folder / weights).write_bytes(b"weights")
    (folder / "optimizer.pt").write_bytes(b"not to be shipped")


def write_recipe(run: Path, recipe: DetectorRecipe | PersonaRecipe) -> None:
    (run / "recipe.json").write_text(json.dumps({"recipe": recipe.model_dump(mode="json"), "data_sha256": {}}))


@pytest.mark.parametrize(("recipe", "where"), [("detector-minilm-l6", "detectors/minilm-l6"), ("judge-minilm-l6", "judge")])
def test_a_detector_goes_where_serving_or_evaluation_looks(tmp_path: Path, recipe: str, where: str) -> None:
    write(tmp_path / "run" / "artifact", DETECTOR, "model.safetensors")
    write_recipe(tmp_path / "run", DetectorRecipe.read(recipe))
    assert publish_run(tmp_path / "run", tmp_path / "out") == [tmp_path / "out" / where]
    published = {path.name for path in (tmp_path / "out" / where).iterdir()}
    assert published == {MANIFEST_FILE, "model.safetensors", "README.md"}
    card = (tmp_path / "out" / where / "README.md").read_text()
    assert "| emotion_val_accuracy | 0.91 |" in card
    assert f"unsplit_rows = {DetectorRecipe.read(recipe).unsplit_rows}" in card


def test_a_detectors_card_says_what_its_probe_for_harm_is(tmp_path: Path) -> None:
    artifact = tmp_path / "run" / "artifact"
    write(artifact, DETECTOR, "model.safetensors")
    write_recipe(tmp_path / "run", DetectorRecipe.read("detector-minilm-l6"))
    (out,) = publish_run(tmp_path / "run", tmp_path / "out")
    assert "no probe" in (out / "README.md").read_text()
    hashes = {"content_hash": "d" * 64, "detector_hash": "a" * 64, "training_data_hash": "e" * 64}
    (artifact / HARM_MANIFEST).write_text(json.dumps({"threshold": 0.61, "metrics": {"test_recall": 0.82}, **hashes}))
    (artifact / HARM_WEIGHTS).write_bytes(b"weights")
    publish_run(tmp_path / "run", tmp_path / "out")
    card = (out / "README.md").read_text()
    assert "no probe" not in card
    assert all(fact in card for fact in ("d" * 64, "| threshold | 0.61 |", "| test_recall | 0.82 |"))


def test_adapters_replace_what_was_there(tmp_path: Path) -> None:
    write(tmp_path / "run" / "joy" / "adapter", ADAPTER, "adapter_model.safetensors")
    write_recipe(tmp_path / "run", PersonaRecipe.read("personas-gemma-3-270m"))
    (tmp_path / "out" / "adapters" / "joy").mkdir(parents=True)
    (tmp_path / "out" / "adapters" / "joy" / "old.bin").touch()
    (out,) = publish_run(tmp_path / "run", tmp_path / "out")
    assert {path.name for path in out.iterdir()} == {MANIFEST_FILE, "adapter_model.safetensors", "README.md"}
    assert "| held_out_nll | 2.5 |" in (out / "README.md").read_text()


@pytest.mark.parametrize("card", sorted(ARTIFACTS.rglob("README.md")), ids=lambda path: path.parent.name)
def test_no_shipped_card_has_an_open_field(card: Path) -> None:
    text = card.read_text("utf-8")
    assert "more information needed" not in text.lower()
    assert "$" not in text
    manifests = [path for name in (MANIFEST_FILE, HARM_MANIFEST) if (path := card.parent / name).exists()]
    assert all(json.loads(path.read_text())["content_hash"] in text for path in manifests)


def test_every_recipe_is_named_by_what_it_trains() -> None:
    names = {path.stem for path in RECIPES.glob("*.toml")}
    assert names == {name for name in names if name.startswith(("detector-", "judge-", "personas-"))}
