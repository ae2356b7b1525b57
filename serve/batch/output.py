"""Output of one job: written under temporary names, and put in place once it is whole."""

import json
import os
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO

from serve.batch.formats.compression import compressed
from serve.batch.formats.records import Chunk, Label, Problem, Source
from serve.batch.plan import Job

STDOUT = 1  # the descriptor: `sys.stdout` is redirected while Ray runs


class Output:
    """The labelled file and the file of rejected rows."""

    def __init__(self, job: Job, source: Source) -> None:
        """Open temporary files, or the device or pipe itself."""
        self._job = job
        self._renames: dict[Path, Path] = {}
        self._stack = ExitStack()
        self._rejects: BinaryIO | None = None
        try:
            stream = self._stack.enter_context(compressed(self._open(job.out), job.compression))
            self._writer = source.writer(stream)
        except BaseException:
            self.discard()
            raise

    def write(self, chunk: Chunk, labels: list[Label | None], problems: list[Problem]) -> None:
        """Append the rows of a chunk."""
        self._writer.write(chunk, labels)
        if problems and self._job.rejects:
            if self._rejects is None:
                self._rejects = self._open(self._job.rejects)
            lines = (json.dumps(problem._asdict()) + "\n" for problem in problems)
            self._rejects.write("".join(lines).encode())

    def commit(self) -> None:
        """Finish the files and give them their names."""
        self._writer.close()
        self._stack.close()
        for temporary, final in self._renames.items():
            temporary.replace(final)
        if self._rejects is None and self._job.rejects and self._job.rejects.is_file():
            self._job.rejects.unlink()  # of an earlier run, whose problems are gone

    def discard(self) -> None:
        """Delete what was written."""
        with suppress(OSError, ValueError):  # a full disk fails again here
            self._stack.close()
        for temporary in self._renames:
            temporary.unlink(missing_ok=True)

    def _open(self, path: Path | None) -> BinaryIO:
        if path is None:
            return self._stack.enter_context(os.fdopen(os.dup(STDOUT), "wb"))
        if path.exists() and not path.is_file():
            return self._stack.enter_context(path.open("wb"))
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.part")
        self._renames[temporary] = path
        return self._stack.enter_context(temporary.open("wb"))
