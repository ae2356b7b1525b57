"""Types that the detector exchanges with its callers."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from models.detector.harm import Category
from serve.config import FEWEST_TOKENS

Scores = tuple[float, ...]
CHARACTERS_PER_TOKEN = 4
SMALL_TEXTS = 4  # a call with more of them is bulk


class Priority(IntEnum):
    """Order in which waiting texts are classified."""

    CHAT = 0
    SMALL = 1
    BULK = 2


def tokens_of(text: str) -> int:
    """Estimate the cost of a text, in tokens, from its length."""
    return max(FEWEST_TOKENS, len(text) // CHARACTERS_PER_TOKEN)


def split_texts(texts: list[str], max_texts: int, max_tokens: int) -> Iterator[list[str]]:
    """Yield the texts in order, in pieces within both limits; a piece has at least one text."""
    piece: list[str] = []
    tokens = 0
    for text in texts:
        tokens += tokens_of(text)
        if piece and (len(piece) == max_texts or tokens > max_tokens):
            yield piece
            piece, tokens = [], tokens_of(text)
        piece.append(text)
    if piece:
        yield piece


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
