"""Progress and summary of `python -m serve detect`, on stderr."""

import time
from types import TracebackType

from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from serve.batch.report import Report
from serve.cli.console import console

LINE_EVERY_S = 30


class ProgressDisplay:
    """Progress of a run: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        """Show nothing until the run starts."""
        columns = (
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f} rows/s"),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self._bar = Progress(*columns, console=console, transient=True)
        self._total = 0
        self._rows = 0
        self._new_rows = 0
        self._resumed_bytes = 0
        self._began_s = time.monotonic()
        self._line_s = self._began_s

    def __enter__(self) -> "ProgressDisplay":
        """Enter."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the bar."""
        if self._bar.live.is_started:
            self._bar.stop()

    def start(self, total_bytes: int) -> None:
        """Begin, with the size of all input files."""
        self._total = total_bytes
        self._began_s = time.monotonic()
        if console.is_terminal:
            self._bar.add_task("", total=total_bytes, rows=0, rate=0.0)
            self._bar.start()

    def update(self, rows: int, position: int, *, resumed: bool) -> None:
        """Count rows that are done, and move to a position in the bytes of all files."""
        self._rows += rows
        if resumed:
            self._resumed_bytes = position
            self._began_s = time.monotonic()
        else:
            self._new_rows += rows
        now_s = time.monotonic()
        rate = self._new_rows / max(now_s - self._began_s, 1e-3)
        for task in self._bar.task_ids:
            self._bar.update(task, completed=position, rows=self._rows, rate=rate)
        if not console.is_terminal and now_s - self._line_s >= LINE_EVERY_S:
            self._line_s = now_s
            console.print(self._line(position, rate, now_s - self._began_s))

    def finish(self, report: Report) -> None:
        """Print what became of one file."""
        name = escape(report.name)
        if report.error is not None:
            console.print(f"[red]failed:[/] {escape(report.error)}", soft_wrap=True)
            return
        out = escape(str(report.out or "stdout"))
        console.print(f"{name}: {report.rows:,} rows in {out}{_details(report)}", soft_wrap=True)

    def _line(self, position: int, rate: float, elapsed_s: float) -> str:
        done = max(position - self._resumed_bytes, 1)
        left_s = elapsed_s * (self._total - position) / done
        share = position / max(self._total, 1)
        return f"{self._rows:,} rows, {rate:,.0f} rows/s, {share:.0%}, {_duration(left_s)} left"


def print_total(reports: list[Report], elapsed_s: float) -> None:
    """Print the sums over all files."""
    rows = sum(report.rows for report in reports)
    fresh = rows - sum(report.resumed for report in reports)
    rate = fresh / max(elapsed_s, 1e-3)
    files = "1 file" if len(reports) == 1 else f"{len(reports)} files"
    console.print(f"{rows:,} rows of {files} in {_duration(elapsed_s)} ({rate:,.0f} rows/s)")
    emotions = sum((report.emotions for report in reports), start=reports[0].emotions.__class__())
    if emotions:
        console.print(", ".join(f"{name} {count:,}" for name, count in emotions.most_common()))


def _details(report: Report) -> str:
    counts = {
        "without text": report.blank,
        "with a problem": report.unlabelled,
        "rejected": report.rejected,
        "resumed": report.resumed,
    }
    parts = [f"{count:,} {name}" for name, count in counts.items() if count]
    where = f"; see {escape(str(report.rejects))}" if report.rejects else ""
    return f" ({', '.join(parts)}{where})" if parts else ""


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min"
        if hours
        else f"{minutes} min {rest} s"
        if minutes
        else f"{rest} s"
    )
