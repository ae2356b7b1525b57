"""Journal of finished labels, with which a killed run continues where it stopped."""

import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from serve.batch.formats.records import Label
from serve.errors import InputFileError


class Journal:
    """Append-only file of labels: a line that identifies the run, then one line per chunk.

    Attributes:
        chunks: number of chunks whose labels were found.
    """

    def __init__(self, path: Path, identity: str) -> None:
        """Open the journal, keeping what an earlier run with the same identity wrote.

        Raises:
            InputFileError: another process uses it.
        """
        self._path = path
        self._file: BinaryIO = path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise InputFileError(f"{path}: another run writes the same output") from error
        self._header = json.dumps({"identity": identity}).encode() + b"\n"
        self.chunks = self._recover()

    def labels(self) -> Iterator[list[Label | None]]:
        """Read the labels of the earlier run."""
        with self._path.open("rb") as file:
            file.readline()
            for _ in range(self.chunks):
                yield [label and Label(*label) for label in json.loads(file.readline())]

    def append(self, labels: list[Label | None]) -> None:
        """Write the labels of the next chunk."""
        self._file.write(json.dumps(labels, separators=(",", ":")).encode() + b"\n")
        self._file.flush()

    def close(self, *, keep: bool) -> None:
        """Close the journal, and delete it unless a later run needs it."""
        if not keep or self._file.tell() <= len(self._header):
            self._path.unlink(missing_ok=True)
        self._file.close()

    def _recover(self) -> int:
        """Count the whole lines and cut off one that was being written at the kill."""
        self._file.seek(0)
        if self._file.readline() != self._header:
            self._file.truncate(0)
            self._file.write(self._header)
            self._file.flush()
            return 0
        count = 0
        end = self._file.tell()
        for line in self._file:
            if not line.endswith(b"]\n"):
                break
            count += 1
            end += len(line)
        self._file.truncate(end)
        self._file.seek(end)
        return count
