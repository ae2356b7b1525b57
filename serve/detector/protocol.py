"""Types that the detector exchanges with its callers."""

from dataclasses import dataclass
from typing import Protocol

from models.detector.harm import Category

Scores = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Detection:
    """Result of classifying one text.

    Attributes:
        scores: six calibrated probabilities, in label order.
        harm: category of harm that the text mentions, None if there is none.
        model: name of the classifier that produced the scores.
    """

    scores: Scores
    harm: Category | None = None
    model: str = ""


class Classifier(Protocol):
    """A classifier of texts.

    Attributes:
        name: base model and version, reported to clients with every detection.
    """

    name: str

    def classify(self, texts: list[str]) -> list[Detection]:
        """Return one detection per text, in the order of the texts. This call blocks."""
        ...
