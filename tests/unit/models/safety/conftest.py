"""Tiny safety classifier of random weights, with a tokenizer of a few words."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import BertConfig, BertModel

from models.manifest import Thresholds
from models.weights.cache import materialize
from training.safety.export import export
from training.safety.model import SafetyModel

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d", "now", "loudly", "crying", "face"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Tiny BERT base weights in the layout of transformers."""
    folder = tmp_path / "base"
    torch.manual_seed(0)
    BertModel(_config()).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, "[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(WORDS[:4])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def model(base: Path) -> SafetyModel:
    """Model as it is trained, with its first layer frozen."""
    torch.manual_seed(1)
    found = SafetyModel(base, frozen_layers=1)
    for parameter in found.trained_tensors().values():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return found.eval()


@pytest.fixture
def artifact(base: Path, model: SafetyModel, tmp_path: Path) -> Path:
    """Exported artifact of that model, which flags about half of all windows."""
    folder = tmp_path / "artifact"
    manifest = export(model, materialize(str(base)), "c" * 64, folder)
    manifest.model_copy(update={"thresholds": Thresholds(crisis=0.5, concern=0.5)}).write(folder)
    assert json.loads((folder / "manifest.json").read_text())["kind"] == "safety"
    return folder


def _config() -> BertConfig:
    return BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
