"""BERT detector for CPUs and GPUs, with the interface of the one in transformers.

texts -> tokens, padded to the longest -> encoder -> first token -> logits (batch, 6)

transformers is not imported, which saves three seconds of the start and 0.2 GiB. Needs torch.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn.functional import linear

from models.detector.base import TextClassifier
from models.detector.tokens import WindowTokenizer
from models.encoder.bert import BertEncoder, EncoderShape
from models.encoder.rows import restore_rows
from models.manifest import DETECTOR_WEIGHTS

# On a CPU eight rows of a text each use it as well as more do, and have less padding.
CPU_ROWS_PER_PASS = 8
ENCODER = "bert."  # begins the names of the artifact's tensors of the encoder


class BertClassifier(TextClassifier):
    """Detector artifact of a whole BERT, in floating point."""

    def __init__(self, folder: Path, dtype: torch.dtype, device: str = "cpu") -> None:
        """Load the model. Raises ManifestError if the artifact does not match its manifest."""
        super().__init__(folder)
        tensors = {
            f"{ENCODER}{name}": tensor.to(dtype)
            for name, tensor in load_file(self.base.folder / "model.safetensors").items()
        }
        tensors |= restore_rows(load_file(folder / DETECTOR_WEIGHTS), dtype)
        placed = {name.removeprefix(ENCODER): one.to(device) for name, one in tensors.items()}
        self._encode = BertEncoder(placed, EncoderShape.read(self.base.folder))
        self._pooler = placed["pooler.dense.weight"], placed["pooler.dense.bias"]
        self._head = placed["classifier.weight"], placed["classifier.bias"]
        self._device = device
        if device == "cpu":
            self.rows_per_pass = CPU_ROWS_PER_PASS
        self._tokenizer = WindowTokenizer(self.base.folder, self.manifest.max_tokens)

    def token_windows(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """Tokenize texts of any length; see `TextClassifier.token_windows`."""
        return self._tokenizer.windows(texts)

    @torch.inference_mode()
    def forward_ids(self, windows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the model on one batch; see `TextClassifier.forward_ids`."""
        longest = max(map(len, windows))
        ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in windows])
        mask = torch.arange(longest) < torch.tensor([[len(window)] for window in windows])
        ids, mask = ids.to(self._device), mask.to(self._device)
        hidden = self._encode(ids, torch.zeros_like(ids), mask)
        pooled = torch.tanh(linear(hidden[:, 0], *self._pooler))
        logits = linear(pooled, *self._head).float()
        features = (hidden.float() * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        return logits.cpu(), features.cpu()
