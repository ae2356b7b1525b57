"""Types that the detector exchanges with its callers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from models.prompt import Turn
from models.safety.levels import Category, Finding, Level
from serve.config import FEWEST_TOKENS

Input = str | tuple[Turn, ...]  # a text, or a conversation whose last turn is the user's
Scores = tuple[float, ...]
CHARACTERS_PER_TOKEN = 4
SMALL_TEXTS = 4  # a call with more of them is bulk


class Priority(IntEnum):
    """Order in which waiting texts are classified."""

    CHAT = 0
    SMALL = 1
    BULK = 2
    SPARE = 3  # no caller waits for them


def tokens_of(given: Input) -> int:
    """Estimate the cost of a text or conversation, in tokens, from its length."""
    return max(FEWEST_TOKENS, length_of(given) // CHARACTERS_PER_TOKEN)


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
    """Result of classifying one text or conversation.

    Attributes:
        scores: six calibrated probabilities, in label order, of the user's last turn.
        finding: harm that the user's turns speak of, None if there is none.
        model: name of the classifier that produced the scores.
        language: ISO 639-1 code of the last turn; None where it cannot be told.
        reliable: false for a language that the detector does not know: its scores mean nothing.
        complete: whether everything was read.
    """

    scores: Scores
    finding: Finding | None = None
    model: str = ""
    language: str | None = None
    reliable: bool = True
    complete: bool = True

    @property
    def level(self) -> Level | None:
        """Level of the finding."""
        return self.finding.level if self.finding else None

    @property
    def harm(self) -> Category | None:
        """Category of a crisis."""
        return self.finding.category if self.finding else None


class Classifier(Protocol):
    """A classifier of texts and conversations.

    Attributes:
        name: base model and version, reported to clients with every detection.
    """

    name: str

    def classify(self, inputs: Sequence[Input]) -> list[Detection]:
        """Return one detection per input, in the order of the inputs. This call blocks."""
        ...


class Critic(Protocol):
    """Judge of answers: whether they make sense for their conversation."""

    def score(self, turns: Sequence[Turn], answers: Sequence[str]) -> list[float]:
        """Return a logit of each answer; above 0 it makes sense. This call blocks."""
        ...


def turns_of(given: Input) -> tuple[Turn, ...]:
    """Return the turns of a conversation; a text is one turn of the user."""
    return (Turn("user", given),) if isinstance(given, str) else given


def last_text(given: Input) -> str:
    """Return the text whose emotion is asked for: the last turn."""
    return given if isinstance(given, str) else given[-1].text


def length_of(given: Input) -> int:
    """Return the number of characters of all turns."""
    return sum(len(turn.text) for turn in turns_of(given))
