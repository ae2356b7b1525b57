"""BERT detector without transformers: the outputs of the one in transformers."""

from pathlib import Path

import pytest
import torch

from models.detector.bert import BertClassifier
from models.detector.factory import open_classifier
from models.detector.transformer import TransformerClassifier
from models.weights.cache import materialize
from support.tiny_models import tiny_bert, tiny_gemma
from training.detector.export import export
from training.detector.train import trainable_model
from training.recipe import DetectorRecipe

pytestmark = pytest.mark.usefixtures("one_thread")
TEXTS = ["hello", "a longer text than the others, which are padded to it", "é!", "a " * 400]


def make_artifact(folder: Path, base: Path, **fields: object) -> Path:
    """Export a detector whose every trainable tensor has changed, as after a training."""
    recipe = DetectorRecipe.model_validate({"base": str(base), "max_tokens": 32, **fields})
    torch.manual_seed(1)
    model = trainable_model(recipe, base).float()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.3 * torch.randn_like(parameter)
    export(model, materialize(str(base)), recipe, "c" * 64, folder)
    return folder


def test_outputs_are_those_of_transformers(tmp_path: Path) -> None:
    folder = make_artifact(tmp_path / "artifact", tiny_bert(tmp_path / "base"))
    reference = TransformerClassifier(folder, torch.float32)
    found = BertClassifier(folder, torch.float32)
    assert found.token_windows(TEXTS) == reference.token_windows(TEXTS)
    assert len(found.token_windows(TEXTS)[-1]) > 1
    for own, expected in zip(found.outputs(TEXTS), reference.outputs(TEXTS), strict=True):
        assert expected.std() > 0.05
        assert torch.allclose(own, expected, atol=1e-4)


def test_only_a_whole_bert_is_read_without_transformers(tmp_path: Path) -> None:
    bert, gemma = tiny_bert(tmp_path / "bert"), tiny_gemma(tmp_path / "gemma")
    whole = make_artifact(tmp_path / "whole", bert)
    lora = make_artifact(tmp_path / "lora", bert, lora_rank=2, lora_modules=("query",))
    other = make_artifact(tmp_path / "other", gemma, lora_rank=2, lora_modules=("q_proj",))
    assert isinstance(open_classifier(whole), BertClassifier)
    assert isinstance(open_classifier(lora), TransformerClassifier)
    assert isinstance(open_classifier(other), TransformerClassifier)
