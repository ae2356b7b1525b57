"""Run of one file: joins its rows with their labels and writes the result."""

from dataclasses import dataclass
from pathlib import Path

from serve.batch.formats.records import Chunk, Label, Problem, Source
from serve.batch.journal import Journal
from serve.batch.output import Output
from serve.batch.plan import Job
from serve.batch.progress import Progress
from serve.batch.ray_stream import LabelStream
from serve.batch.report import Report
from serve.errors import InputFileError


@dataclass
class Task:
    """A job whose source is open.

    Attributes:
        job: where the result goes.
        source: the rows.
        identity: of input, settings and detector; labels of a run with another one are void.
        journal: path of the journal, None if the output cannot be resumed.
        known_chunks: number of chunks that the journal has.
        offset: bytes of the files before this one.
    """

    job: Job
    source: Source
    identity: str
    journal: Path | None = None
    known_chunks: int = 0
    offset: int = 0


class FileRun:
    """One file of a run."""

    def __init__(
        self, task: Task, stream: LabelStream, progress: Progress, *, stop_at_problem: bool
    ) -> None:
        """Take labels that the journal does not have from the stream."""
        self._task = task
        self._stream = stream
        self._progress = progress
        self._stop_at_problem = stop_at_problem
        self._report = Report(task.job.name, task.job.out)

    def run(self, index: int) -> Report:
        """Write the labelled file. It is the stream's file number `index`.

        The journal is kept if the run is stopped or the detector fails, so that the next run
        continues; it is deleted when the file is done or cannot be used.

        Raises:
            InputFileError: the file cannot be used, or a row has a problem and the run stops there.
        """
        journal = Journal(self._task.journal, self._task.identity) if self._task.journal else None
        keep = True
        try:
            self._write(index, journal)
            keep = False
        except InputFileError:
            keep = False
            raise
        finally:
            if journal:
                journal.close(keep=keep)
        if self._report.problems:
            self._report.rejects = self._task.job.rejects
        return self._report

    def _write(self, index: int, journal: Journal | None) -> None:
        output = Output(self._task.job, self._task.source)
        earlier = journal.labels() if journal else iter(())
        try:
            for number, chunk in enumerate(self._task.source.chunks()):
                resumed = number < self._task.known_chunks
                labels = next(earlier, None) if resumed else self._stream.take(index)
                if labels is None or len(labels) != len(chunk.texts):
                    raise InputFileError(f"{self._report.name}: changed during the run; run again")
                self._write_chunk(output, chunk, labels, resumed=resumed)
                if journal and not resumed:
                    journal.append(labels)
            output.commit()
        except BaseException:
            output.discard()
            raise

    def _write_chunk(
        self, output: Output, chunk: Chunk, labels: list[Label | None], *, resumed: bool
    ) -> None:
        problems = _all_problems(chunk, labels)
        if problems and self._stop_at_problem:
            first = problems[0]
            raise InputFileError(f"{self._report.name}:{first.line}: {first.reason}")
        output.write(chunk, labels, problems)
        self._report.add(chunk, labels, problems, resumed=resumed)
        position = self._task.offset + chunk.position
        self._progress.update(len(labels) + chunk.rejected, position, resumed=resumed)


def _all_problems(chunk: Chunk, labels: list[Label | None]) -> list[Problem]:
    """Return the chunk's problems, and the texts on which the detector failed."""
    rows = zip(chunk.lines, chunk.texts, labels, strict=True)
    failed = [
        Problem(line, "the detector failed on this text", True, text)
        for line, text, label in rows
        if text is not None and label is None
    ]
    return sorted([*chunk.problems, *failed], key=lambda problem: problem.line)
