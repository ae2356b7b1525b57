"""Linear probe for harm on the features that a detector computes anyway.

features (batch, hidden) -> three probabilities -> a category if P(harmless) is below the threshold

Linear probes: Alain and Bengio 2016, https://arxiv.org/abs/1610.01644. Needs torch.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file

from models.detector.harm import CATEGORIES, HARM_WEIGHTS, Category, HarmManifest
from models.errors import ManifestError
from models.hashing import file_sha256


class HarmProbe:
    """Loaded harm probe of one detector."""

    def __init__(self, folder: Path, detector_hash: str) -> None:
        """Load the probe in the folder of a detector.

        Raises ManifestError if it does not match its manifest or belongs to another detector.
        """
        self.manifest = HarmManifest.read(folder)
        if self.manifest.detector_hash != detector_hash:
            raise ManifestError(
                f"{folder.name}: the harm probe was fitted for detector "
                f"{self.manifest.detector_hash[:12]}, expected {detector_hash[:12]}; fit it again"
            )
        if file_sha256(folder / HARM_WEIGHTS) != self.manifest.content_hash:
            raise ManifestError(f"{folder.name}: {HARM_WEIGHTS} does not match its manifest")
        tensors = load_file(folder / HARM_WEIGHTS)
        self._weight = tensors["weight"]
        self._bias = tensors["bias"]

    def probabilities(self, features: torch.Tensor) -> torch.Tensor:
        """Return probabilities `(batch, 3)` in the order of `CATEGORIES`."""
        return torch.softmax(features @ self._weight.T + self._bias, dim=-1)

    def categories(self, features: torch.Tensor) -> list[Category | None]:
        """Return the harm category of each text, or None."""
        rows = self.probabilities(features)
        harmless = rows[:, 0].tolist()
        likeliest = (rows[:, 1:].argmax(-1) + 1).tolist()
        threshold = self.manifest.threshold
        return [
            CATEGORIES[index] if probability < threshold else None
            for probability, index in zip(harmless, likeliest, strict=True)
        ]
