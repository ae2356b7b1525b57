"""Counts of what became of the rows of one file."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from serve.batch.formats.records import Chunk, Label, Problem


@dataclass
class Report:
    """Outcome of one job.

    Attributes:
        name: input file.
        out: output file, None for stdout.
        rejects: file with the problems, None if there is none.
        rows: rows that were read.
        emotions: number of rows per label.
        blank: rows without text: they are in the output, without a label.
        unlabelled: rows with a problem that are in the output.
        rejected: rows that are not in the output.
        resumed: rows whose labels were taken from a run that was stopped.
        error: reason why there is no output, None if there is one.
    """

    name: str
    out: Path | None
    rejects: Path | None = None
    rows: int = 0
    emotions: Counter[str] = field(default_factory=Counter)
    blank: int = 0
    unlabelled: int = 0
    rejected: int = 0
    resumed: int = 0
    error: str | None = None

    def add(
        self, chunk: Chunk, labels: list[Label | None], problems: list[Problem], *, resumed: bool
    ) -> None:
        """Count the rows of one chunk."""
        kept = sum(problem.kept for problem in problems)
        missing = sum(label is None for label in labels)
        # A row with bytes of another encoding has both a problem and a label.
        doubtful = {problem.line for problem in problems if problem.kept}
        pairs = zip(chunk.lines, labels, strict=True)
        doubtful_labelled = sum(label is not None and line in doubtful for line, label in pairs)
        self.rows += len(labels) + chunk.rejected
        self.emotions.update(label.emotion for label in labels if label)
        self.unlabelled += kept
        self.blank += missing - (kept - doubtful_labelled)
        self.rejected += chunk.rejected
        self.resumed += len(labels) + chunk.rejected if resumed else 0

    @property
    def problems(self) -> int:
        """Number of rows that need a look."""
        return self.unlabelled + self.rejected
