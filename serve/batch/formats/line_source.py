"""Source for formats of lines: rows keep their raw bytes, and labels are inserted into them."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from serve.batch.formats.compression import open_input
from serve.batch.formats.records import CHUNK_BYTES, CHUNK_ROWS, Chunk, Label, Problem, classifiable
from serve.batch.formats.text_lines import Line, read_lines


@dataclass(frozen=True, slots=True)
class Record:
    """One row, or lines that are copied as they are.

    Attributes:
        line: number of its first line.
        raw: its bytes.
        cut: position in `raw` where the label fields go, None if it gets none.
        text: text to classify.
        problem: reason why it gets no label. Without `cut` the record is not written at all.
    """

    line: int
    raw: bytes
    cut: int | None = None
    text: str | None = None
    problem: str | None = None


class LineFormat(Protocol):
    """Rules of one format of lines. Must be picklable."""

    @property
    def codec(self) -> str:
        """Encoding of the file."""
        ...

    @property
    def terminator(self) -> str:
        """Character that ends its lines."""
        ...

    def records(self, lines: Iterator[Line]) -> Iterator[Record]:
        """Group lines into records."""
        ...

    def fields(self, record: Record, label: Label | None) -> str:
        """Return what is inserted at the record's cut."""
        ...


@dataclass(frozen=True)
class LineSource:
    """A file in a format of lines."""

    path: Path
    name: str
    format: LineFormat

    @property
    def settings(self) -> str:
        """Describe what decides the texts, for the journal."""
        return repr(self.format)

    def chunks(self) -> Iterator[Chunk]:
        """Read the file in chunks of records."""
        # A reader that stops in the middle must let go of the stream before it is closed.
        with (
            open_input(self.path) as (stream, file),
            closing(read_lines(stream, self.format.codec, self.format.terminator)) as lines,
        ):
            for records in _grouped(self.format.records(lines)):
                yield self._chunk(records, file.tell())

    def texts(self) -> Iterator[list[str | None]]:
        """Read the texts in the same chunks."""
        return (chunk.texts for chunk in self.chunks())

    def writer(self, stream: BinaryIO) -> "LineWriter":
        """Return a writer that inserts the labels."""
        return LineWriter(self.format, stream)

    def _chunk(self, records: list[Record], position: int) -> Chunk:
        labelled = [record for record in records if record.cut is not None]
        texts = [classifiable(record.text) for record in labelled]
        numbers = [record.line for record in labelled]
        wrong = [record for record in records if record.problem is not None]
        problems = [self._problem(record) for record in wrong]
        rejected = sum(not problem.kept for problem in problems)
        return Chunk(texts, numbers, records, problems, position, rejected)

    def _problem(self, record: Record) -> Problem:
        row = record.raw.decode(self.format.codec, "backslashreplace")
        return Problem(record.line, record.problem or "", record.cut is not None, row)


class LineWriter:
    """Writer of records with their labels."""

    def __init__(self, rules: LineFormat, stream: BinaryIO) -> None:
        """Write to a stream that the caller closes."""
        self._format = rules
        self._stream = stream

    def write(self, chunk: Chunk, labels: list[Label | None]) -> None:
        """Append the chunk's records; rejected ones are left out."""
        self._stream.write(b"".join(self._pieces(chunk.rows, iter(labels))))

    def close(self) -> None:
        """Do nothing: lines need no end."""

    def _pieces(self, records: list[Record], labels: Iterator[Label | None]) -> Iterator[bytes]:
        for record in records:
            if record.cut is not None:
                yield record.raw[: record.cut]
                yield self._format.fields(record, next(labels)).encode(self._format.codec)
                yield record.raw[record.cut :]
            elif record.problem is None:
                yield record.raw


def _grouped(records: Iterable[Record]) -> Iterator[list[Record]]:
    group: list[Record] = []
    size = 0
    for record in records:
        group.append(record)
        size += len(record.raw)
        if len(group) >= CHUNK_ROWS or size >= CHUNK_BYTES:
            yield group
            group = []
            size = 0
    if group:
        yield group
