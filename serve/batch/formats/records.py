"""Types that the formats, the classifier and the writers exchange."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from models.text.normalize import normalize

ADDED_COLUMNS = ("detected_emotion", "detected_score", "detected_harm")
CHUNK_ROWS = 1024  # enough to classify texts of similar length together
CHUNK_BYTES = 4 * 2**20  # a chunk of long rows is closed earlier


class Label(NamedTuple):
    """Values of the added columns for one row."""

    emotion: str
    # Calibrated probability of the emotion, rounded to four places.
    score: float
    # Category of harm of a crisis, `concern` for a concern, None if there is neither.
    harm: str | None


class Problem(NamedTuple):
    """Reason why a row has no label, or is not in the output at all."""

    line: int
    reason: str
    # False if the row cannot stand in the output: it goes to the rejects file instead.
    kept: bool
    row: str


@dataclass(slots=True)
class Chunk:
    """Consecutive rows of one file.

    Attributes:
        texts: one entry per row that gets labels; None where there is nothing to classify.
        lines: number of each of these rows in the file, from one.
        rows: the same rows in the form that the format's writer takes.
        problems: rows that were rejected or cannot be labelled.
        position: bytes of the file that have been read so far.
        rejected: number of rows that are in `problems` but not in `texts`.
    """

    texts: list[str | None]
    lines: list[int]
    rows: Any
    problems: list[Problem]
    position: int
    rejected: int = 0


class Writer(Protocol):
    """Writer of one output file."""

    def write(self, chunk: Chunk, labels: list[Label | None]) -> None:
        """Append the chunk's rows with one label for each of its texts."""
        ...

    def close(self) -> None:
        """Finish the file. The stream below stays open."""
        ...


class Source(Protocol):
    """One input file, opened again for every pass. Must be picklable and read the same twice."""

    @property
    def path(self) -> Path:
        """The file that is read."""
        ...

    @property
    def name(self) -> str:
        """Name of the file in messages."""
        ...

    @property
    def settings(self) -> str:
        """Everything but the file's content that decides what `texts` returns."""
        ...

    def chunks(self) -> Iterator[Chunk]:
        """Read the whole file."""
        ...

    def texts(self) -> Iterator[list[str | None]]:
        """Read only the texts, in the same chunks."""
        ...

    def writer(self, stream: BinaryIO) -> Writer:
        """Return a writer of the same format."""
        ...


def classifiable(text: str | None) -> str | None:
    """Return the text in valid Unicode, or None if it is missing or nothing in it is visible.

    JSON escapes and UTF-16 may hold half of a surrogate pair, which no tokenizer accepts.
    """
    if text is None:
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text if normalize(text) else None
