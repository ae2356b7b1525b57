"""Interface of every detector: calibrated scores and features of texts.

texts -> logits (batch, 6) -> softmax with the fitted temperature -> scores (batch, 6)
texts of any length -> windows -> scores of each -> their mean, weighted by tokens

Needs torch but not transformers.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.emotions import LABELS
from models.errors import ManifestError
from models.manifest import DetectorManifest
from models.weights.cache import materialize

ROWS_PER_PASS = 64
MAX_WINDOWS = 8  # of a text; of a longer one, the first and the last half as many are read


@dataclass(frozen=True, slots=True)
class TextEmotion:
    """Emotion of a text of any length.

    Attributes:
        scores: six calibrated probabilities, in label order.
        complete: whether the whole text was read.
    """

    scores: tuple[float, ...]
    complete: bool


class TextClassifier(ABC):
    """Detector artifact, loaded for one device and precision.

    Attributes:
        rows_per_pass: windows that are padded to one length and run together.
    """

    rows_per_pass = ROWS_PER_PASS

    def __init__(self, folder: Path) -> None:
        """Check the artifact and find its base weights.

        Raises ManifestError if the artifact does not match its manifest.
        """
        self.manifest = DetectorManifest.read(folder)
        self.manifest.check_weights(folder)
        self.base = materialize(self.manifest.base)
        if self.base.sha256 != self.manifest.base_hash:
            raise ManifestError(
                f"{folder.name}: base weights {self.base.name} have sha256 "
                f"{self.base.sha256[:12]}, expected {self.manifest.base_hash[:12]}"
            )

    @abstractmethod
    def token_windows(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """Return the token ids of each text in windows of at most `max_tokens`, at least one."""

    @abstractmethod
    def forward_ids(self, windows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the model on one batch of token ids.

        Returns float32 logits `(batch, 6)` and features `(batch, hidden)`. The features are the
        mean of the last layer over the tokens of each row.
        """

    def forward(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the model on the first window of each text of one batch; see `forward_ids`."""
        return self.forward_ids([windows[0] for windows in self.token_windows(texts)])

    def classify(self, texts: Sequence[str]) -> list[TextEmotion]:
        """Return the scores of texts of any length: the mean of their windows, by tokens."""
        whole = self.token_windows(texts)
        found = [_chosen(windows) for windows in whole]
        flat = [window for windows in found for window in windows]
        rows = iter(self.calibrated(self._forward_windows(flat)[0]))
        emotions = []
        for windows, every in zip(found, whole, strict=True):
            weights = torch.tensor([[float(len(window))] for window in windows])
            scores = torch.stack([next(rows) for _ in windows])
            mean = (scores * weights).sum(0) / weights.sum()
            emotions.append(TextEmotion(tuple(mean.tolist()), len(windows) == len(every)))
        return emotions

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
        return self.outputs(texts)[0] if texts else torch.empty(0, len(LABELS))

    def all_features(self, texts: Sequence[str]) -> np.ndarray:
        """Return features `(len(texts), hidden)` of at least one text, run in batches."""
        return self.outputs(texts)[1].numpy()

    def outputs(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits `(texts, 6)` and features `(texts, hidden)` of at least one text.

        Only the first window of each is read. The results have the order of the texts.
        """
        return self._forward_windows([windows[0] for windows in self.token_windows(texts)])

    def _forward_windows(
        self, windows: Sequence[Sequence[int]]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Run batches of windows of similar length; the results have the order of the windows."""
        by_length = sorted(range(len(windows)), key=lambda number: len(windows[number]))
        results = []
        for start in range(0, len(windows), self.rows_per_pass):
            batch = by_length[start : start + self.rows_per_pass]
            results.append(self.forward_ids([windows[number] for number in batch]))
        logits, features = (torch.cat(parts) for parts in zip(*results, strict=True))
        original_order = torch.tensor(by_length).argsort()
        return logits[original_order], features[original_order]


def _chosen(windows: list[list[int]]) -> list[list[int]]:
    """Return the windows to read: all, or the first and the last ones of a very long text."""
    half = MAX_WINDOWS // 2
    return windows if len(windows) <= MAX_WINDOWS else [*windows[:half], *windows[-half:]]
