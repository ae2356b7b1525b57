"""Sentence encoder: base weights of the catalogue as they are, mean-pooled.

texts -> tokens -> last hidden states -> mean over the tokens -> unit vectors `(n, hidden)`
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer

BATCH_SIZE = 32
MAX_TOKENS = 128


class SentenceEncoder:
    """A frozen encoder of sentences, such as MPNet of the catalogue."""

    def __init__(self, folder: Path) -> None:
        """Load weights in the transformers layout."""
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def vectors(self, texts: Sequence[str]) -> torch.Tensor:
        """Return unit vectors `(len(texts), hidden)`; each different text is encoded once."""
        different = sorted(set(texts), key=len)
        encoded = [
            self._batch(different[start : start + BATCH_SIZE])
            for start in range(0, len(different), BATCH_SIZE)
        ]
        row = {text: number for number, text in enumerate(different)}
        return torch.cat(encoded)[[row[text] for text in texts]]

    def _batch(self, texts: list[str]) -> torch.Tensor:
        batch = self.tokenizer(
            texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        )
        hidden = self.model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1)
        return normalize((hidden * mask).sum(1) / mask.sum(1).clamp(min=1), dim=-1)
