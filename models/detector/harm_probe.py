"""Whether a message speaks of harm: a linear probe on what a detector has read anyway (Alain and Bengio 2016, https://arxiv.org/abs/1610.01644).

features (batch, hidden) of the detector -> three probabilities -> a category, unless harmlessness is likely enough. Needs torch.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file

from models.detector.harm import CATEGORIES, HARM_WEIGHTS, Category, HarmManifest
from models.errors import ManifestError
from models.hashing import file_sha256


class HarmProbe:
    """A probe, loaded. Raises ManifestError if it is not what its manifest says, or was made for another detector."""

    def __init__(self, folder: Path, detector_hash: str) -> None:
        self.manifest = HarmManifest.read(folder)
        if self.manifest.detector_hash != detector_hash:
            raise ManifestError(f"{folder.name}: the probe was made for another detector, {self.manifest.detector_hash[:12]}")
        if file_sha256(folder / HARM_WEIGHTS) != self.manifest.content_hash:
            raise ManifestError(f"{folder.name}: the probe's weights are not those of its manifest")
        tensors = load_file(folder / HARM_WEIGHTS)
        self._weight, self._bias = tensors["weight"], tensors["bias"]

    def probabilities(self, features: torch.Tensor) -> torch.Tensor:
        """`(batch, 3)` in the order of `CATEGORIES`."""
        return torch.softmax(features @ self._weight.T + self._bias, dim=-1)

    def categories(self, features: torch.Tensor) -> list[Category | None]:
        """What each of the texts speaks of."""
        rows = self.probabilities(features)
        likelier = rows[:, 1:].argmax(-1) + 1
        return [
            CATEGORIES[int(number)] if float(row[0]) < self.manifest.threshold else None for row, number in zip(rows, likelier, strict=True)
        ]
