"""A detector in 8-bit integers behind the interface of the one in floating point. Needs torch.

transformers is not imported for it: that is three seconds of a start, and 0.2 GiB.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from models.detector.base import TextClassifier
from models.detector.int8.cache import int8_weights
from models.detector.int8.model import Int8Mpnet, Shape


class Int8Classifier(TextClassifier):
    """A detector artefact that stands on MPNet, converted for the CPU."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        config = json.loads((self.base.folder / "config.json").read_text("utf-8"))
        shape = Shape(config["num_hidden_layers"], config["num_attention_heads"], config["layer_norm_eps"])
        self._model = Int8Mpnet(load_file(int8_weights(folder)), shape)
        self._tokenizer = Tokenizer.from_file(str(self.base.folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(self.manifest.max_tokens)
        self._tokenizer.enable_padding(pad_id=config["pad_token_id"])

    @torch.inference_mode()
    def forward(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        encoded = self._tokenizer.encode_batch(list(texts))
        return self._model(torch.tensor([row.ids for row in encoded]), torch.tensor([row.attention_mask for row in encoded]))
