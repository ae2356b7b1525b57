"""Detection of a CSV file's delimiter and header from its first lines."""

import csv
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from serve.batch.formats.records import ADDED_COLUMNS
from serve.batch.formats.text_lines import Line
from serve.errors import InputFileError

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_LINES = 200
EXCEL_HINT = re.compile(r"sep=(.)\s*")  # Excel writes the delimiter into a line of its own
csv.field_size_limit(2**31 - 1)  # the default of 128 Ki rejects long texts


@dataclass(frozen=True)
class Dialect:
    """Shape of one CSV file.

    Attributes:
        delimiter: character between fields.
        skip_spaces: spaces after a delimiter do not belong to the field.
        header: names of the columns.
    """

    delimiter: str
    skip_spaces: bool
    header: tuple[str, ...]

    def parse(self, lines: Iterator[str], *, strict: bool) -> list[str]:
        """Parse one record, taking as many lines as its quotes span.

        Raises:
            csv.Error: the quotes do not match.
        """
        reader = csv.reader(
            lines, delimiter=self.delimiter, skipinitialspace=self.skip_spaces, strict=strict
        )
        return next(reader, [])


def detect_dialect(name: str, lines: list[Line], column: str, delimiter: str | None) -> Dialect:
    """Choose the delimiter with which the header names the column and most rows fit the header.

    Raises:
        InputFileError: the column is missing or ambiguous, or an added column exists already.
    """
    texts = [line.text for line in lines if line.text.strip("\r\n")]
    if texts and (hint := EXCEL_HINT.fullmatch(texts[0])):
        delimiter = delimiter or hint[1]
        del texts[0]
    if not texts:
        raise InputFileError(f"{name}: no header; expected a first line with the columns' names")
    choices = itertools.product([delimiter] if delimiter else DELIMITERS, (False, True))
    # The first of equals wins, so that a comma goes before the others.
    measured = [_measure(texts, mark, skip, column) for mark, skip in choices]
    _, dialect = max(measured, key=lambda pair: pair[0])
    _check_columns(name, dialect.header, column)
    return dialect


def _measure(
    texts: list[str], delimiter: str, skip: bool, column: str
) -> tuple[tuple[bool, float, int], Dialect]:
    dialect = Dialect(delimiter, skip, ())
    lines = iter(texts)
    rows: list[list[str]] = []
    try:
        while row := dialect.parse(lines, strict=False):
            rows.append(row)
    except csv.Error:
        pass  # the rows before it tell enough
    header = tuple(rows[0]) if rows else ()
    fitting = sum(len(row) == len(header) for row in rows) / max(len(rows), 1)
    return (column in header, fitting, len(header)), Dialect(delimiter, skip, header)


def _check_columns(name: str, header: tuple[str, ...], column: str) -> None:
    if column not in header:
        found = ", ".join(repr(one) for one in header)
        raise InputFileError(f"{name}: no column {column!r}; found {found}; choose with --column")
    if header.count(column) > 1:
        raise InputFileError(f"{name}: two columns are named {column!r}; rename one of them")
    if taken := [one for one in ADDED_COLUMNS if one in header]:
        raise InputFileError(f"{name}: has the column {taken[0]!r} already; rename or remove it")
