"""Runs `python -m serve detect` and turns its outcome into messages and an exit status."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from models.errors import FyeError
from serve.batch.formats.registry import ReadOptions
from serve.batch.job import RunOptions, label_files
from serve.batch.plan import plan_jobs
from serve.cli.config_file import read_config
from serve.cli.console import console, print_error
from serve.cli.detect_progress import ProgressDisplay, print_total
from serve.cli.weights import fetch_detector
from serve.cluster.ray_compat import set_ray_environment
from serve.config import SCRIPTED, DetectorConfig

FAILED = 1
WITH_PROBLEMS = 3  # 2 is for wrong arguments
BROKEN_PIPE = 141
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(BaseException):
    """SIGTERM or SIGINT, raised in the main thread so that temporary files are deleted."""


class StopSignal:
    """The first signal that asked the run to stop.

    Attributes:
        status: exit status for that signal, None if there was none.
    """

    def __init__(self) -> None:
        """Start without a signal."""
        self.status: int | None = None

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Raise `Stopped` in the main thread on the first SIGTERM or SIGINT."""
        before = {number: signal.signal(number, self._stop) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, _frame: object) -> None:
        signal.alarm(0)  # Ray's handler in C++ calls this one, but aborts the process after 3 s
        if self.status is None:  # a second signal must not disturb the cleaning up
            self.status = 128 + number
            raise Stopped


@dataclass(frozen=True)
class Arguments:
    """Arguments of the command.

    Attributes:
        sources: files, patterns or `-`.
        out: file, folder or `-`; None: next to each input.
        rejects: file for rows with problems; None: next to the output.
        read: how files are read.
        config_file: Serve config file with the detector; None: the scripted detector.
        workers: number of detectors.
        stop_at_problem: fail at the first row with a problem.
        restart: discard the labels of a run that was stopped.
    """

    sources: list[str]
    out: str | None
    rejects: Path | None
    read: ReadOptions
    config_file: Path | None
    workers: int
    stop_at_problem: bool
    restart: bool


def run_detect(given: Arguments) -> int:
    """Label the files and return the exit status."""
    set_ray_environment()
    stop = StopSignal()
    try:
        with stop.raised():
            return _label(given)
    except BaseException as error:  # noqa: BLE001 (raised again if there was no signal)
        # Ray may have turned `Stopped` into an exception of its own while it started.
        if stop.status is None:
            return _failure_status(error)
        console.print("Stopped. Run the same command again to continue.")
        # Ray is still there, and can crash when Python ends. Its reaper ends its processes.
        os._exit(stop.status)


def _failure_status(error: BaseException) -> int:
    """Print what went wrong and return the exit status. Raises errors that it does not know."""
    match error:
        case FyeError():
            print_error(error)
        case BrokenPipeError():  # the reader of stdout has seen enough
            return BROKEN_PIPE
        case OSError():
            console.print(f"[red]Error:[/] cannot write: {escape(str(error))}", soft_wrap=True)
        case _:
            raise error
    return FAILED


def _label(given: Arguments) -> int:
    jobs = plan_jobs(given.sources, given.out, given.rejects, given.read)
    detector = _detector(given.config_file)
    options = RunOptions(given.read, detector, given.workers, given.stop_at_problem, given.restart)
    began_s = time.monotonic()
    with ProgressDisplay() as display:
        reports = label_files(jobs, options, display)
    print_total(reports, time.monotonic() - began_s)
    if any(report.error for report in reports):
        return FAILED
    return WITH_PROBLEMS if any(report.problems for report in reports) else 0


def _detector(config_file: Path | None) -> DetectorConfig:
    config = read_config(config_file).detector if config_file else SCRIPTED.detector
    fetch_detector(config)
    return config
