"""JSON Lines: one object per line. New keys are inserted before the closing brace."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from serve.batch.formats.line_source import Record
from serve.batch.formats.records import ADDED_COLUMNS, Label
from serve.batch.formats.text_lines import Line


class _Number(str):
    """A number as it stands in the JSON text; its type tells it from a string."""

    __slots__ = ()


# Numbers stay as they are: their values are not used, and Python refuses very long integers.
DECODER = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=_Number)


@dataclass(frozen=True)
class JsonLines:
    """Rules of JSON Lines.

    Attributes:
        column: key of the text to classify.
    """

    column: str
    codec: str = "utf-8"
    terminator: str = "\n"

    def records(self, lines: Iterator[Line]) -> Iterator[Record]:
        """Parse each line, only to find its text: the line itself is never rewritten."""
        for line in lines:
            if line.problem is None and not line.text.strip():
                yield Record(line.number, line.raw)
            else:
                yield self._record(line)

    def fields(self, record: Record, label: Label | None) -> str:
        """Return the new keys, after a comma unless the object is empty."""
        values = label or (None, None, None)
        keys = zip(ADDED_COLUMNS, values, strict=True)
        added = ", ".join(f'"{key}": {json.dumps(value)}' for key, value in keys)
        before = record.raw[: record.cut].decode(self.codec, "replace") if label is None else ""
        return added if before.rstrip().endswith("{") else f", {added}"

    def _record(self, line: Line) -> Record:
        if line.problem is not None:
            return Record(line.number, line.raw, problem=line.problem)
        try:
            row = DECODER.decode(line.text)
        except json.JSONDecodeError as error:
            problem = f"not valid JSON: {error.msg} (column {error.colno})"
            return Record(line.number, line.raw, problem=problem)
        except RecursionError:
            return Record(line.number, line.raw, problem="JSON that is nested too deeply")
        if not isinstance(row, dict):
            return Record(line.number, line.raw, problem="not a JSON object")
        cut = line.raw.rindex("}".encode(self.codec))
        return self._checked(line, row, cut)

    def _checked(self, line: Line, row: dict[str, Any], cut: int) -> Record:
        if taken := [name for name in ADDED_COLUMNS if name in row]:
            problem = f"has the key {taken[0]!r} already; rename or remove it"
            return Record(line.number, line.raw, problem=problem)
        if self.column not in row:
            problem = f"no key {self.column!r}; it has {', '.join(row) or 'none'}"
            return Record(line.number, line.raw, cut, problem=problem)
        text = row[self.column]
        if text is not None and type(text) is not str:
            problem = f"{self.column!r} is {_kind(text)}, expected a string"
            return Record(line.number, line.raw, cut, problem=problem)
        damage = f"has bytes that are not {self.codec}; give --encoding" if line.damaged else None
        return Record(line.number, line.raw, cut, text, damage)


def _kind(value: object) -> str:
    names = {_Number: "a number", bool: "true or false", list: "an array", dict: "an object"}
    return names.get(type(value), "not text")
