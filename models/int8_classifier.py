"""A detector in 8-bit integers behind the interface of the one in floating point. Needs torch."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoConfig

from models.classifier import Classifier, TextClassifier
from models.int8 import Int8Mpnet, Shape
from models.int8_cache import can_be_int8, int8_weights


class Int8Classifier(TextClassifier):
    """A detector artefact that stands on MPNet, converted for the CPU."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        config = AutoConfig.from_pretrained(self.base.folder)
        shape = Shape(config.num_hidden_layers, config.num_attention_heads, config.layer_norm_eps)
        self._model = Int8Mpnet(load_file(int8_weights(folder)), shape)

    @torch.inference_mode()
    def read(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        batch = self.tokens(texts)
        return self._model(batch["input_ids"], batch["attention_mask"])


def open_classifier(folder: Path, device: str = "cpu", precision: str = "auto") -> TextClassifier:
    """The fastest that reads an artefact on a device as well as floating point does; `bf16` for floating point in any case."""
    if precision == "auto" and device == "cpu" and can_be_int8(folder):
        return Int8Classifier(folder)
    return Classifier(folder, device=device)
