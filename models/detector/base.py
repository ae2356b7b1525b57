"""Interface of every detector: calibrated scores and features of texts.

texts -> logits (batch, 6) -> softmax with the fitted temperature -> scores (batch, 6)

Needs torch but not transformers.
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

BATCH_SIZE = 64


class TextClassifier(ABC):
    """Detector artifact, loaded for one device and precision."""

    def __init__(self, folder: Path) -> None:
        """Check the artifact and find its base weights.

        Raises ManifestError if the artifact does not match its manifest.
        """
        self.manifest = DetectorManifest.read(folder)
        if file_sha256(folder / DETECTOR_WEIGHTS) != self.manifest.content_hash:
            raise ManifestError(
                f"{folder.name}: {DETECTOR_WEIGHTS} does not match the manifest; export it again"
            )
        self.base = materialize(self.manifest.base)
        if self.base.sha256 != self.manifest.base_hash:
            raise ManifestError(
                f"{folder.name}: base weights {self.base.name} have sha256 "
                f"{self.base.sha256[:12]}, expected {self.manifest.base_hash[:12]}"
            )

    @abstractmethod
    def forward(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the model on one batch of texts.

        Returns float32 logits `(batch, 6)` and features `(batch, hidden)`. The features are the
        mean of the last layer over the tokens of each text.
        """

    def logits(self, texts: Sequence[str]) -> torch.Tensor:
        """Return float32 logits `(batch, 6)` in the order of the texts."""
        return self.forward(texts)[0]

    def scores(self, texts: Sequence[str]) -> torch.Tensor:
        """Return calibrated probabilities `(batch, 6)` in the order of the texts."""
        return self.calibrated(self.logits(texts))

    def calibrated(self, logits: torch.Tensor) -> torch.Tensor:
        """Convert logits to probabilities with the fitted temperature."""
        return torch.softmax(logits / self.manifest.temperature, dim=-1)

    def all_logits(self, texts: Sequence[str]) -> torch.Tensor:
        """Return logits `(len(texts), 6)` of any number of texts, run in batches."""
        return self._forward_all(texts)[0] if texts else torch.empty(0, len(LABELS))

    def all_features(self, texts: Sequence[str]) -> np.ndarray:
        """Return features `(len(texts), hidden)` of at least one text, run in batches."""
        return self._forward_all(texts)[1].numpy()

    def _forward_all(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Run batches of texts of similar length; the results have the order of the texts."""
        by_length = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        results = []
        for start in range(0, len(texts), BATCH_SIZE):
            batch = by_length[start : start + BATCH_SIZE]
            results.append(self.forward([texts[number] for number in batch]))
        logits, features = (torch.cat(parts) for parts in zip(*results, strict=True))
        original_order = torch.tensor(by_length).argsort()
        return logits[original_order], features[original_order]
