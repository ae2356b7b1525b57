"""Exported detectors: serving computes the logits that training computed, head included."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.detector.transformer import TransformerClassifier, load_tokenizer
from models.errors import ManifestError
from models.hashing import file_sha256
from models.manifest import DETECTOR_WEIGHTS, DetectorManifest
from models.weights.cache import Materialized, materialize
from support.tiny_models import tiny_bert, tiny_gemma
from training.datasets.sources import Example
from training.detector import train
from training.detector.export import export, load_start_weights, trained_tensors
from training.detector.train import trainable_model
from training.errors import RecipeError
from training.recipe import DetectorRecipe
from training.runs.folder import RECIPE_FILE

pytestmark = pytest.mark.usefixtures("one_thread")
TEXTS = ["hello", "a longer text than the others, which are padded to it", "é!"]
GEMMA = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
BERT = ("query", "key", "value", "attention.output.dense", "intermediate.dense")
CASES = {
    "bert, whole": (tiny_bert, {}),
    "bert, lora": (tiny_bert, {"lora_rank": 2, "lora_modules": BERT}),
    "gemma, lora": (tiny_gemma, {"lora_rank": 2, "lora_alpha": 6, "lora_modules": GEMMA}),
}


def trained(recipe: DetectorRecipe, base: Materialized) -> torch.nn.Module:
    """Return a model of which every trainable tensor has changed, as after a training."""
    torch.manual_seed(1)
    model = trainable_model(recipe, base.folder)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.3 * torch.randn_like(parameter)
    result: torch.nn.Module = model.float().eval()
    return result


@pytest.mark.parametrize("case", CASES)
def test_logits_after_loading_equal_those_before_saving(case: str, tmp_path: Path) -> None:
    make, fields = CASES[case]
    base = materialize(str(make(tmp_path / "base")))
    recipe = DetectorRecipe(base=base.name, **fields)
    model = trained(recipe, base)
    export(model, base, recipe, "c" * 64, tmp_path / "artifact")
    batch = load_tokenizer(base.folder)(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        before = model(**batch).logits
    after = TransformerClassifier(tmp_path / "artifact", dtype=torch.float32).logits(TEXTS)
    assert before.std() > 0.05
    assert torch.allclose(before, after, atol=1e-3)


def test_run_starts_from_an_artefact_of_the_same_shape(tmp_path: Path) -> None:
    base = materialize(str(tiny_bert(tmp_path / "base")))
    wide = DetectorRecipe(base=base.name, lora_rank=4, lora_modules=BERT)
    narrow = DetectorRecipe(base=base.name, lora_rank=2, lora_modules=BERT)
    export(trained(wide, base), base, wide, "c" * 64, tmp_path / "artifact")
    model = trainable_model(wide, base.folder)
    load_start_weights(model, tmp_path / "artifact")
    saved = load_file(tmp_path / "artifact" / DETECTOR_WEIGHTS)
    assert all(
        torch.equal(tensor.bfloat16(), saved[name])
        for name, tensor in trained_tensors(model).items()
    )
    with pytest.raises(RecipeError, match="LoRA rank"):
        load_start_weights(trainable_model(narrow, base.folder), tmp_path / "artifact")
    with pytest.raises(RecipeError, match=r"no artefact in .*nowhere"):
        load_start_weights(model, tmp_path / "nowhere")


def test_rejects_an_artefact_without_a_trained_head(tmp_path: Path) -> None:
    base = materialize(str(tiny_gemma(tmp_path / "base")))
    recipe = DetectorRecipe(base=base.name, lora_rank=2, lora_modules=GEMMA)
    out = tmp_path / "artifact"
    manifest = export(trained(recipe, base), base, recipe, "c" * 64, out)
    tensors = {
        name: tensor
        for name, tensor in load_file(out / DETECTOR_WEIGHTS).items()
        if "score" not in name
    }
    assert len(tensors) == len(GEMMA) * 2
    save_file(tensors, out / DETECTOR_WEIGHTS)
    manifest.model_copy(update={"content_hash": file_sha256(out / DETECTOR_WEIGHTS)}).write(out)
    with pytest.raises(ManifestError, match="no trained head"):
        TransformerClassifier(out)


def test_missing_manifest_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="train one"):
        DetectorManifest.read(tmp_path / "detectors" / "gemma-2-2b")


def test_record_of_a_run_has_the_hash_of_the_artefact_that_it_starts_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = tmp_path / "start"
    start.mkdir()
    base = str(tiny_bert(tmp_path / "base"))
    recipe = DetectorRecipe(base=base, start=str(start))
    monkeypatch.setattr(train, "training_examples", lambda recipe, data: [Example("hello", 0)])
    monkeypatch.setattr(train, "trainable_model", stop)
    with pytest.raises(RecipeError, match="run the recipe that writes it first"):
        train.train_detector(recipe, None, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (start / DETECTOR_WEIGHTS).write_bytes(b"one")
    for _ in range(2):
        with pytest.raises(Stopped):
            train.train_detector(recipe, None, tmp_path / "run")
    record = json.loads((tmp_path / "run" / RECIPE_FILE).read_text("utf-8"))
    assert record["data_sha256"]["start"] == file_sha256(start / DETECTOR_WEIGHTS)
    (start / DETECTOR_WEIGHTS).write_bytes(b"other")
    with pytest.raises(RecipeError, match="cannot resume"):
        train.train_detector(recipe, None, tmp_path / "run")


class Stopped(Exception):
    """The training came to its model."""


def stop(recipe: DetectorRecipe, base: Path) -> torch.nn.Module:
    raise Stopped
