"""What a detector artefact offers, whatever computes it. Needs torch, and not transformers.

texts -> logits (batch, 6) -> softmax at the fitted temperature -> scores (batch, 6)
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from models.emotions import LABELS
from models.errors import ManifestError
from models.hashing import file_sha256
from models.manifest import DETECTOR_WEIGHTS, DetectorManifest
from models.weights.cache import materialize

NORMAL_BATCH = 64


class TextClassifier(ABC):
    """A detector artefact, whatever computes it. Raises ManifestError if the artefact is not what its manifest says."""

    def __init__(self, folder: Path) -> None:
        self.manifest = DetectorManifest.read(folder)
        if file_sha256(folder / DETECTOR_WEIGHTS) != self.manifest.content_hash:
            raise ManifestError(f"{folder.name}: the weights are not those of the manifest")
        self.base = materialize(self.manifest.base)
        if self.base.sha256 != self.manifest.base_hash:
            raise ManifestError(f"{folder.name}: trained on other base weights than {self.base.name} {self.base.sha256[:12]}")

    @abstractmethod
    def forward(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Float32 logits `(batch, 6)`, and features `(batch, hidden)`: the last layer's mean over the tokens of each text."""

    def logits(self, texts: Sequence[str]) -> torch.Tensor:
        """Float32 logits, `(batch, 6)`, in the order of the texts."""
        return self.forward(texts)[0]

    def scores(self, texts: Sequence[str]) -> torch.Tensor:
        """Calibrated probabilities, `(batch, 6)`."""
        return self.calibrated(self.logits(texts))

    def calibrated(self, logits: torch.Tensor) -> torch.Tensor:
        """Probabilities of logits, at the fitted temperature."""
        return torch.softmax(logits / self.manifest.temperature, dim=-1)

    def all_logits(self, texts: Sequence[str]) -> torch.Tensor:
        """Logits of any number of texts, `(len(texts), 6)`: batches of similar length, results in the order given."""
        return self._all(texts)[0] if texts else torch.empty(0, len(LABELS))

    def all_features(self, texts: Sequence[str]) -> np.ndarray:
        """Features of at least one text, `(len(texts), hidden)`, in the same way."""
        return self._all(texts)[1].numpy()

    def _all(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        read = [self.forward([texts[i] for i in order[start : start + NORMAL_BATCH]]) for start in range(0, len(order), NORMAL_BATCH)]
        back = torch.tensor(order).argsort()
        return torch.cat([logits for logits, _ in read])[back], torch.cat([features for _, features in read])[back]
