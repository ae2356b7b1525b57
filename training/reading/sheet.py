"""The sheet that readers get, and the key that says which system wrote each answer.

A sheet is CSV with the columns `id`, `persona`, `message`, `answer` and an empty `mark`. Ids follow
a random order, so neither the order nor the id tells the system.
"""

import csv
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from models.emotions import Emotion
from models.schema import FrozenModel
from training.errors import ReadingError

SHEET = "sheet.csv"
KEY = "key.csv"
SHEET_COLUMNS = ("id", "persona", "message", "answer", "mark")
KEY_COLUMNS = ("id", "system", "persona")


class DrawnAnswer(FrozenModel):
    """One line of a file of answers: an answer of a system to a message."""

    persona: Emotion
    message: str
    answer: str


@dataclass(frozen=True, slots=True)
class KeyRow:
    """The source of an answer on a sheet."""

    system: str
    persona: Emotion


def read_answers(file: Path) -> list[DrawnAnswer]:
    """Read a JSONL file of answers. Raises ReadingError."""
    try:
        lines = file.read_text("utf-8").splitlines()
        return [DrawnAnswer.model_validate_json(line) for line in lines]
    except (OSError, ValidationError) as error:
        raise ReadingError(f"cannot read answers from {file}: {error}") from error


def write_answers(answers: Iterable[DrawnAnswer], file: Path) -> None:
    """Write a JSONL file of answers."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{answer.model_dump_json()}\n" for answer in answers), "utf-8")


def write_sheet(
    systems: Mapping[str, Sequence[DrawnAnswer]], out: Path, answers: int | None, seed: int
) -> tuple[Path, Path]:
    """Write `sheet.csv` and `key.csv` into `out`, and return their paths.

    Args:
        systems: answers of each system, by its name.
        out: folder of the two files.
        answers: answers of each system on the sheet, drawn evenly over the personas; None: all.
        seed: seed of the draw and of the order.

    Raises:
        ReadingError: a system has too few answers.
    """
    generator = random.Random(seed)
    rows = []
    for system, drawn in systems.items():
        rows += [(system, answer) for answer in _choose(system, drawn, answers, generator)]
    generator.shuffle(rows)
    out.mkdir(parents=True, exist_ok=True)
    sheet = [
        (number, answer.persona, answer.message, answer.answer, "")
        for number, (_, answer) in enumerate(rows, 1)
    ]
    key = [(number, system, answer.persona) for number, (system, answer) in enumerate(rows, 1)]
    _write_csv(out / SHEET, SHEET_COLUMNS, sheet)
    _write_csv(out / KEY, KEY_COLUMNS, key)
    return out / SHEET, out / KEY


def _choose(
    system: str, drawn: Sequence[DrawnAnswer], answers: int | None, generator: random.Random
) -> list[DrawnAnswer]:
    """Choose answers at random, in turn from each persona."""
    if answers is None:
        return list(drawn)
    if answers > len(drawn):
        raise ReadingError(f"{system} has {len(drawn)} answers, expected at least {answers}")
    by_persona: dict[Emotion, list[DrawnAnswer]] = {}
    for answer in generator.sample(list(drawn), len(drawn)):
        by_persona.setdefault(answer.persona, []).append(answer)
    turns = [
        (turn, number, answer)
        for number, own in enumerate(by_persona.values())
        for turn, answer in enumerate(own)
    ]
    ordered = sorted(turns, key=lambda each: each[:2])
    return [answer for _, _, answer in ordered[:answers]]


def read_key(file: Path) -> dict[str, KeyRow]:
    """Read a key. Raises ReadingError."""
    rows = read_csv(file, KEY_COLUMNS)
    try:
        return {row["id"]: KeyRow(row["system"], Emotion(row["persona"])) for row in rows}
    except ValueError as error:
        raise ReadingError(f"{file}: {error}; use the key as `reading sheet` wrote it") from error


def read_csv(file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read the rows of a CSV file that has at least `columns`. Raises ReadingError."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, restval="")  # for lines that end early
            missing = set(columns).difference(reader.fieldnames or ())
            if missing:
                raise ReadingError(
                    f"{file} has no column {', '.join(sorted(missing))}: expected a CSV file with "
                    f"the columns {', '.join(columns)}"
                )
            return list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReadingError(f"cannot read {file}: {error}") from error


def _write_csv(file: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)
