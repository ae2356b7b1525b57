"""Names of the formats, and the function that opens a file in its format."""

import io
import itertools
from dataclasses import dataclass
from pathlib import Path

from serve.batch.formats.compression import SUFFIXES, open_input
from serve.batch.formats.csv_dialect import SAMPLE_LINES, Dialect, detect_dialect
from serve.batch.formats.csv_format import Csv
from serve.batch.formats.jsonl_format import JsonLines
from serve.batch.formats.line_source import LineSource
from serve.batch.formats.parquet_format import ParquetSource
from serve.batch.formats.records import Chunk, Source
from serve.batch.formats.text_lines import SAMPLE_BYTES, choose_encoding, read_lines
from serve.errors import InputFileError

FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}


@dataclass(frozen=True)
class ReadOptions:
    """Settings that hold for every input file.

    Attributes:
        column: name of the column or key that holds the texts.
        format: jsonl, csv or parquet; None: by the file's name.
        encoding: codec of text files; None: detected.
        delimiter: of CSV; None: detected.
    """

    column: str = "text"
    format: str | None = None
    encoding: str | None = None
    delimiter: str | None = None


def format_of(path: Path) -> tuple[str | None, str | None]:
    """Return the format and the compression that a file's name stands for."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    compression = SUFFIXES.get(suffixes[-1]) if suffixes else None
    if compression:
        suffixes.pop()
    return (FORMATS.get(suffixes[-1]) if suffixes else None), compression


def open_source(path: Path, name: str, options: ReadOptions) -> Source:
    """Open a file in its format and check that its texts can be found.

    Raises:
        InputFileError: the file, its format or its column cannot be used.
    """
    try:
        source = _opened(options.format or format_of(path)[0], path, name, options)
        _check_first_chunk(name, next(source.chunks(), None))
    except OSError as error:
        raise InputFileError(f"{name}: cannot be read: {error.strerror or error}") from error
    return source


def _opened(kind: str | None, path: Path, name: str, options: ReadOptions) -> Source:
    if kind == "parquet":
        parquet = ParquetSource(path, name, options.column)
        parquet.check()
        return parquet
    sample = _sample(path)
    codec = choose_encoding(options.encoding, sample)
    if kind == "jsonl":
        if sample.decode(codec, "replace").lstrip("\ufeff \r\n").startswith("["):
            hint = "expected one object per line (`jq -c '.[]'` converts it)"
            raise InputFileError(f"{name}: is a JSON array; {hint}")
        return LineSource(path, name, JsonLines(options.column, codec))
    carriage_returns = "\n".encode(codec) not in sample and "\r".encode(codec) in sample
    terminator = "\r" if carriage_returns else "\n"
    lines = read_lines(io.BytesIO(sample), codec, terminator)
    dialect = Dialect(",", False, (options.column,))  # for a file without a single byte
    if sample:
        first_lines = list(itertools.islice(lines, SAMPLE_LINES))
        dialect = detect_dialect(name, first_lines, options.column, options.delimiter)
    return LineSource(path, name, Csv(options.column, dialect, codec, terminator))


def _sample(path: Path) -> bytes:
    """Read the beginning of the decompressed file."""
    import zlib

    with open_input(path) as (stream, _):
        pieces = []
        size = 0
        try:
            while size < SAMPLE_BYTES and (piece := stream.read(2**14)):
                pieces.append(piece)
                size += len(piece)
        except (EOFError, OSError, zlib.error) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
        return b"".join(pieces)


def _check_first_chunk(name: str, chunk: Chunk | None) -> None:
    """Refuse a file none of whose first rows can be labelled: the format or column is wrong."""
    if chunk is None or not chunk.problems:
        return
    if len(chunk.problems) >= len(chunk.texts) + chunk.rejected:
        first = chunk.problems[0]
        count = len(chunk.problems)
        raise InputFileError(
            f"{name}: none of its first {count} rows can be labelled; line {first.line}: "
            f"{first.reason}"
        )
