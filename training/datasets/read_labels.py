"""Answers of systems with the marks of readers, one a line of a JSONL file.

A mark is 0 (nonsense or wrong), 1 (fits but vague) or 2 (fits, specific and in voice).
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from models.emotions import Emotion
from models.schema import FrozenModel
from training.errors import ReadingError

Mark = Literal[0, 1, 2]
HELD_OUT_OF = 3  # one message in three is held out


class LabelledAnswer(FrozenModel):
    """An answer to a message, with the readers' mark."""

    persona: Emotion
    message: str
    answer: str
    mark: Mark

    @property
    def makes_sense(self) -> bool:
        """True if readers found that the answer fits its message."""
        return self.mark >= 1

    @property
    def is_held_out(self) -> bool:
        """True if the critic must not be trained on the message; the same in every file."""
        return is_held_out(self.message)


def is_held_out(message: str) -> bool:
    """Return whether a message is held out from the critic, the same in every file."""
    digest = hashlib.sha256(message.strip().casefold().encode()).digest()
    return digest[0] % HELD_OUT_OF == 0


def read_labels(files: Sequence[Path]) -> list[LabelledAnswer]:
    """Read files of labelled answers. Raises ReadingError."""
    rows = []
    for file in files:
        try:
            lines = file.read_text("utf-8").splitlines()
            rows += [LabelledAnswer.model_validate_json(line) for line in lines]
        except (OSError, ValidationError) as error:
            raise ReadingError(f"cannot read labels from {file}: {error}") from error
    return rows


def write_labels(rows: Iterable[LabelledAnswer], file: Path) -> None:
    """Write labelled answers."""
    file.write_text("".join(f"{row.model_dump_json()}\n" for row in rows), "utf-8")
