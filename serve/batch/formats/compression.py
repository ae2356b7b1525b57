"""Byte streams of files that may be compressed with gzip or Zstandard."""

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

MAGIC = {b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst"}
SUFFIXES = {".gz": "gz", ".zst": "zst"}


@contextmanager
def open_input(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open a file for reading, decompressed by its first bytes.

    Yields:
        the decompressed stream, and the file below it, whose position tells the progress.
    """
    with path.open("rb") as file:
        stream = _decompressed(file)
        try:
            yield stream, file
        finally:
            stream.close()


def compression_of(file: BinaryIO) -> str | None:
    """Return the compression that the file's first bytes announce."""
    head = file.read(4)
    file.seek(0)
    return next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), None)


def _decompressed(file: BinaryIO) -> BinaryIO:
    kind = compression_of(file)
    if kind == "gz":
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if kind == "zst":
        import pyarrow as pa

        stream = pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd")
        return cast(BinaryIO, io.BufferedReader(stream))
    return file


@contextmanager
def compressed(file: BinaryIO, kind: str | None) -> Iterator[BinaryIO]:
    """Wrap a file so that what is written is compressed. The file itself stays open."""
    if kind is None:
        yield file
    elif kind == "gz":
        # Without a time the same input gives the same bytes.
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as stream:
            yield cast(BinaryIO, stream)
    else:
        import pyarrow as pa

        with pa.CompressedOutputStream(pa.PythonFile(_KeptOpen(file), "w"), "zstd") as stream:
            yield stream


class _KeptOpen:
    """File whose `close` only flushes: pyarrow closes what it writes to."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.flush()
