"""Merge the readers' marks into shares for each system, and measure the readers' agreement.

Each reader fills in the column `mark` of a copy of the sheet. A mark counts as one vote: the
shares are over answers, and an answer has the median mark of its readers (the lower one of two).
"""

import statistics
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from rich.table import Table

from models.emotions import LABELS, Emotion
from models.schema import FrozenModel
from training.datasets.read_labels import LabelledAnswer
from training.errors import ReadingError
from training.evaluation.intervals import wilson_interval
from training.reading.agreement import cohen_kappa, fleiss_kappa
from training.reading.sheet import SHEET_COLUMNS, KeyRow, read_csv, read_key
from training.report.schema import Interval

MARKS = {"0": 0, "1": 1, "2": 2}
SENSE = 1  # lowest mark of an answer that makes sense
SPECIFIC = 2

Marks = dict[str, int]


class SystemReading(FrozenModel):
    """Readers' findings about the answers of a system."""

    answers: int
    sense: Interval  # share with a mark of 1 or 2
    specific: Interval  # share with a mark of 2
    sense_by_persona: dict[Emotion, float]


class Reading(FrozenModel):
    """Result of a reading.

    Attributes:
        readers: names of the readers' files.
        fleiss: kappa over the three marks; None for a single reader.
        cohen: kappa of each pair of readers, `FIRST, SECOND`.
        systems: shares of each system.
    """

    readers: list[str]
    fleiss: float | None
    cohen: dict[str, float]
    systems: dict[str, SystemReading]


def merge(key_file: Path, reader_files: Sequence[Path]) -> Reading:
    """Merge the marks of the readers. Raises ReadingError for a mark that is missing or wrong."""
    key = read_key(key_file)
    marks = {str(file): read_marks(file, key) for file in reader_files}
    columns = [[own[number] for number in key] for own in marks.values()]
    rows = list(zip(*columns, strict=True))
    pairs = combinations(marks, 2)
    return Reading(
        readers=list(marks),
        fleiss=round(fleiss_kappa(rows), 4) if len(marks) > 1 else None,
        cohen={
            f"{first}, {second}": round(
                cohen_kappa(list(marks[first].values()), list(marks[second].values())), 4
            )
            for first, second in pairs
        },
        systems=_systems(key, rows),
    )


def read_marks(file: Path, key: Mapping[str, KeyRow]) -> Marks:
    """Read a reader's marks in the order of the key. Raises ReadingError."""
    found = {row["id"]: row["mark"].strip() for row in read_csv(file, ("id", "mark"))}
    wrong = [number for number in key if found.get(number) not in MARKS]
    if wrong:
        raise ReadingError(
            f"{file}: no valid mark for id {', '.join(wrong[:5])}, {len(wrong)} in all; "
            "expected 0, 1 or 2 for each id of the key"
        )
    unknown = sorted(set(found) - set(key))
    if unknown:
        raise ReadingError(
            f"{file}: id {unknown[0]} is not in the key; it belongs to another sheet"
        )
    return {number: MARKS[found[number]] for number in key}


def labelled_answers(key_file: Path, reader_files: Sequence[Path]) -> list[LabelledAnswer]:
    """Return the answers of the sheet with the median mark of the readers, to train a critic on.

    The texts are those of the first reader's file. Raises ReadingError.
    """
    key = read_key(key_file)
    marks = [read_marks(file, key) for file in reader_files]
    rows = read_csv(reader_files[0], SHEET_COLUMNS)
    return [
        LabelledAnswer.model_validate(
            {
                "persona": row["persona"],
                "message": row["message"],
                "answer": row["answer"],
                "mark": statistics.median_low([own[row["id"]] for own in marks]),
            }
        )
        for row in rows
    ]


def _systems(key: Mapping[str, KeyRow], rows: Sequence[Sequence[int]]) -> dict[str, SystemReading]:
    voted = [
        (source, int(statistics.median_low(row)))
        for source, row in zip(key.values(), rows, strict=True)
    ]
    names = sorted({source.system for source in key.values()})
    return {
        name: _system_reading([each for each in voted if each[0].system == name]) for name in names
    }


def _system_reading(voted: Sequence[tuple[KeyRow, int]]) -> SystemReading:
    marks = [mark for _, mark in voted]
    by_persona = {
        persona: [mark for source, mark in voted if source.persona is persona] for persona in LABELS
    }
    return SystemReading(
        answers=len(marks),
        sense=wilson_interval([mark >= SENSE for mark in marks]),
        specific=wilson_interval([mark >= SPECIFIC for mark in marks]),
        sense_by_persona={
            persona: sum(mark >= SENSE for mark in own) / len(own)
            for persona, own in by_persona.items()
            if own
        },
    )


def reading_table(reading: Reading) -> Table:
    """Return a table with a row for each system."""
    agreement = "one reader" if reading.fleiss is None else f"Fleiss kappa {reading.fleiss:.2f}"
    table = Table("system", "answers", "make sense", "specific", title=agreement)
    for name, each in reading.systems.items():
        table.add_row(name, str(each.answers), _format(each.sense), _format(each.specific))
    return table


def _format(share: Interval) -> str:
    return f"{share.value:.2f} ({share.low:.2f} to {share.high:.2f})"
