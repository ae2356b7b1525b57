"""The record of a persona run: the pairs that the recipe names, checked for leaks."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.emotions import LABELS, Emotion
from models.manifest import ADAPTER_WEIGHTS, adapter_hash
from models.prompt import Turn
from models.weights.cache import Materialized
from training.datasets.persona_pairs import Pair, data_hash, held_out_pairs, training_pairs
from training.errors import BackendError, LeakError, RecipeError
from training.personas import train
from training.recipe import PairSet, PersonaRecipe
from training.runs.folder import RECIPE_FILE, write_results

RECIPE = PersonaRecipe(base="tiny")


@pytest.mark.parametrize("pair_set", ["literary", "plain", "simple"])
def test_record_has_the_hashes_of_the_pairs_that_the_recipe_names(
    pair_set: PairSet, tmp_path: Path
) -> None:
    train.open_personas_run(RECIPE.model_copy(update={"pairs": pair_set}), tmp_path / "run")
    record = json.loads((tmp_path / "run" / RECIPE_FILE).read_text("utf-8"))
    expected = {persona: data_hash(training_pairs(persona, pair_set)) for persona in LABELS}
    assert record["data_sha256"] == expected
    assert record["recipe"]["pairs"] == pair_set


def test_rejects_a_held_out_message_in_an_earlier_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leak = Turn("user", held_out_pairs(Emotion.SADNESS)[0].message)
    earlier = (leak, Turn("assistant", "Oh."))
    pair = Pair(topic="dialogue", earlier=earlier, message="Yes.", answer="I see.")
    monkeypatch.setattr(train, "training_pairs", lambda persona, pair_set: [pair])
    with pytest.raises(LeakError, match="sadness, held out"):
        train.open_personas_run(RECIPE, tmp_path / "run")


def start_folder(folder: Path, weights: bytes, **changes: object) -> Path:
    """Write what the hash of an adapter reads."""
    folder.mkdir()
    config = {
        "base_model_name_or_path": "gemma-3-270m",
        "r": 8,
        "lora_alpha": 16,
        "target_modules": ["q_proj"],
        "use_rslora": False,
    } | changes
    (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    (folder / ADAPTER_WEIGHTS).write_bytes(weights)
    return folder


def test_record_has_the_hash_of_the_adapter_that_the_shared_stage_starts_from(
    tmp_path: Path,
) -> None:
    hashes = []
    for name in ("one", "other"):
        start = start_folder(tmp_path / name, name.encode())
        recipe = RECIPE.model_copy(update={"base": "gemma-3-270m", "start": str(start)})
        train.open_personas_run(recipe, tmp_path / f"run-{name}")
        record = json.loads((tmp_path / f"run-{name}" / RECIPE_FILE).read_text("utf-8"))
        hashes.append(record["data_sha256"]["start"])
        assert hashes[-1] == adapter_hash(start)
    assert len(set(hashes)) == 2


def test_missing_start_is_an_error_before_any_work(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"start": str(tmp_path / "none")})
    with pytest.raises(BackendError, match="train it first"):
        train.open_personas_run(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"r": 4},
        {"lora_alpha": 32},
        {"use_rslora": True},
        {"base_model_name_or_path": "gemma-3-270m-it"},
    ],
)
def test_start_of_another_base_or_scale_is_an_error(
    changes: dict[str, object], tmp_path: Path
) -> None:
    start = start_folder(tmp_path / "start", b"weights", **changes)
    recipe = RECIPE.model_copy(update={"base": "gemma-3-270m", "start": str(start)})
    with pytest.raises(BackendError, match="does not fit the recipe"):
        train.open_personas_run(recipe, tmp_path / "run")


def test_run_that_is_older_than_a_field_of_the_recipe_can_be_resumed(tmp_path: Path) -> None:
    train.open_personas_run(RECIPE, tmp_path / "run")
    file = tmp_path / "run" / RECIPE_FILE
    record = json.loads(file.read_text("utf-8"))
    del record["recipe"]["start"]
    file.write_text(json.dumps(record), "utf-8")
    train.open_personas_run(RECIPE, tmp_path / "run")
    with pytest.raises(RecipeError, match="another recipe"):
        train.open_personas_run(RECIPE.model_copy(update={"seed": 1}), tmp_path / "run")


def test_refuses_a_launcher_whose_processes_would_write_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(BackendError, match=r"launcher .* --parallel"):
        train.open_personas_run(RECIPE, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_shared_stage_is_done_when_its_results_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(train, "_train_stage", lambda *arguments: calls.append(arguments))
    (tmp_path / "shared" / "adapter").mkdir(parents=True)
    (tmp_path / "shared" / "adapter" / ADAPTER_WEIGHTS).write_bytes(b"half")
    train.train_shared(RECIPE, tmp_path)
    assert len(calls) == 1
    write_results(tmp_path / "shared", [], {})
    train.train_shared(RECIPE, tmp_path)
    assert len(calls) == 1


def test_interrupted_save_leaves_no_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    class Model:
        """What `save_adapter` uses of a PEFT model."""

        peft_config: ClassVar = {"default": SimpleNamespace()}

        def save_pretrained(self, out: Path, save_embedding_layers: bool) -> None:
            assert not save_embedding_layers
            out.mkdir()
            save_file({"a": torch.ones(2)}, out / ADAPTER_WEIGHTS)
            (out / "README.md").touch()

    base = Materialized("tiny", tmp_path, "0" * 64)
    out = tmp_path / "adapter"
    with monkeypatch.context() as patch:
        patch.setattr(train, "save_file", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train.save_adapter(Model(), base, out)
    assert not out.exists()
    for _ in range(2):
        train.save_adapter(Model(), base, out)
    assert [path.name for path in out.iterdir()] == [ADAPTER_WEIGHTS]
    assert load_file(out / ADAPTER_WEIGHTS)["a"].dtype == torch.bfloat16
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
