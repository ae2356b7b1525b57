"""Interface of the progress display."""

from typing import Protocol

from serve.batch.report import Report


class Progress(Protocol):
    """Listener to the progress of a run."""

    def start(self, total_bytes: int) -> None:
        """Begin, with the size of all input files."""
        ...

    def update(self, rows: int, position: int, *, resumed: bool) -> None:
        """Count rows that are done, and move to a position in the bytes of all files."""
        ...

    def finish(self, report: Report) -> None:
        """Take the report of a file that is done."""
        ...
