"""CSV: records keep their bytes, and new fields are appended before the line's end."""

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from serve.batch.formats.csv_dialect import EXCEL_HINT, Dialect
from serve.batch.formats.line_source import Record
from serve.batch.formats.records import ADDED_COLUMNS, Label
from serve.batch.formats.text_lines import Line

RECORD_LIMIT = 2**20  # characters of one record that spans lines; beyond, a quote was never closed
_SENTINEL = "\0"


@dataclass(frozen=True)
class Csv:
    """Rules of one CSV file.

    Attributes:
        column: name of the text's column.
        dialect: delimiter and header.
    """

    column: str
    dialect: Dialect
    codec: str
    terminator: str

    def records(self, lines: Iterator[Line]) -> Iterator[Record]:
        """Yield the header with the added names, then one record per row."""
        index = self.dialect.header.index(self.column)
        feed = _Feed(lines)
        seen_header = False
        while (line := feed.peek()) is not None:
            blank = line.problem is None and not line.text.strip("\r\n")
            if blank or (not seen_header and EXCEL_HINT.fullmatch(line.text)):
                yield Record(line.number, next(feed).raw)
            elif seen_header:
                yield self._record(feed, index)
            else:
                yield self._header(feed)
                seen_header = True

    def fields(self, record: Record, label: Label | None) -> str:
        """Return the delimiter and the values, empty where there is no label."""
        values = label or ("", "", "")
        return "".join(
            f"{self.dialect.delimiter}{'' if value is None else value}" for value in values
        )

    def _header(self, feed: "_Feed") -> Record:
        self.dialect.parse(feed.texts(), strict=False)
        lines = feed.taken()
        raw, cut = self._joined(lines)
        broken = next((line.problem for line in lines if line.problem), None)
        if broken is not None:
            return Record(lines[0].number, raw, problem=broken)
        names = "".join(f"{self.dialect.delimiter}{name}" for name in ADDED_COLUMNS)
        return Record(lines[0].number, raw[:cut] + names.encode(self.codec) + raw[cut:])

    def _record(self, feed: "_Feed", index: int) -> Record:
        try:
            fields = self.dialect.parse(feed.texts(), strict=True)
            problem = self._misfit(fields)
        except csv.Error as error:
            fields = []
            problem = f"cannot be parsed: {error}"
        lines = feed.taken()
        if problem is not None and len(lines) > 1:
            # A quote that is never closed swallows the rows after it: reject only its own line.
            feed.give_back(lines[1:])
            lines = lines[:1]
            problem = f"a quote is not closed in this line, or {problem}"
        elif problem is not None and (lenient := self._lenient(lines[0])) is not None:
            fields = lenient
            problem = None
        broken = next((line.problem for line in lines if line.problem), problem)
        raw, cut = self._joined(lines)
        if broken is not None:
            return Record(lines[0].number, raw, problem=broken)
        damaged = any(line.damaged for line in lines)
        problem = f"has bytes that are not {self.codec}; give --encoding" if damaged else None
        return Record(lines[0].number, raw, cut, fields[index], problem)

    def _lenient(self, line: Line) -> list[str] | None:
        """Parse a line with stray quotes, as `"a"b`, if its fields fit and none stays open."""
        texts = iter([_parseable(line), _SENTINEL])
        try:
            fields = self.dialect.parse(texts, strict=False)
        except csv.Error:
            return None
        closed = next(texts, None) == _SENTINEL
        return fields if closed and self._misfit(fields) is None else None

    def _misfit(self, fields: list[str]) -> str | None:
        expected = len(self.dialect.header)
        if len(fields) == expected:
            return None
        return f"it has {len(fields)} fields where the header has {expected}"

    def _joined(self, lines: list[Line]) -> tuple[bytes, int]:
        raw = b"".join(line.raw for line in lines)
        return raw, len(raw) - len(lines[-1].ending.encode(self.codec))


def _parseable(line: Line) -> str:
    """Return the text without breaks inside the line, which the parser takes for its end.

    Python's own writer leaves a lone carriage return unquoted.
    """
    body = line.text.rstrip("\r\n")
    return body.replace("\r", "\v").replace("\n", "\v") + line.text[len(body) :]


class _Feed:
    """Lines for the parser, which can be given back."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._waiting: deque[Line] = deque()
        self._taken: list[Line] = []

    def __next__(self) -> Line:
        return self._waiting.popleft() if self._waiting else next(self._lines)

    def peek(self) -> Line | None:
        """Return the next line without taking it."""
        if not self._waiting and (line := next(self._lines, None)) is not None:
            self._waiting.append(line)
        return self._waiting[0] if self._waiting else None

    def texts(self) -> Iterator[str]:
        """Yield the lines of one record, up to the limit."""
        size = 0
        while size < RECORD_LIMIT and (line := self.peek()) is not None:
            self._taken.append(next(self))
            size += len(line.text)
            yield _parseable(line)
            if line.problem is not None:
                return

    def taken(self) -> list[Line]:
        """Return the lines that `texts` yielded since the last call."""
        lines = self._taken
        self._taken = []
        return lines

    def give_back(self, lines: list[Line]) -> None:
        """Put lines in front of the others."""
        self._waiting.extendleft(reversed(lines))
