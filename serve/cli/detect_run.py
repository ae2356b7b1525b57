"""Runs `python -m serve detect` and turns its outcome into messages and an exit status."""

import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from models.errors import FyeError
from serve.batch.formats.registry import ReadOptions
from serve.batch.job import RunOptions, label_files
from serve.batch.plan import plan_jobs
from serve.batch.report import Report
from serve.cli.config_file import read_config
from serve.cli.console import console, print_error
from serve.cli.detect_progress import ProgressDisplay, print_report, print_total
from serve.cli.weights import fetch_detector
from serve.config import SCRIPTED, DetectorConfig
from serve.ray_compat import set_ray_environment

FAILED = 1
WITH_PROBLEMS = 3  # 2 is for wrong arguments
INTERRUPTED = 130
BROKEN_PIPE = 141
TERMINATED = 143


class Terminated(BaseException):
    """SIGTERM, raised in the main thread so that temporary files are deleted."""


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
    try:
        with _terminable():
            return _label(given)
    except FyeError as error:
        print_error(error)
        return FAILED
    except BrokenPipeError:  # the reader of stdout has seen enough
        return BROKEN_PIPE
    except OSError as error:
        console.print(f"[red]Error:[/] cannot write: {escape(str(error))}", soft_wrap=True)
        return FAILED
    except (KeyboardInterrupt, Terminated) as stop:
        console.print("Stopped. Run the same command again to continue.")
        return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED


def _label(given: Arguments) -> int:
    jobs = plan_jobs(given.sources, given.out, given.rejects, given.read)
    detector = _detector(given.config_file)
    options = RunOptions(given.read, detector, given.workers, given.stop_at_problem, given.restart)
    began_s = time.monotonic()
    reports: list[Report] = []
    with ProgressDisplay() as display, closing(label_files(jobs, options, display)) as done:
        for report in done:
            print_report(report)
            reports.append(report)
    print_total(reports, time.monotonic() - began_s)
    if any(report.error for report in reports):
        return FAILED
    return WITH_PROBLEMS if any(report.problems for report in reports) else 0


def _detector(config_file: Path | None) -> DetectorConfig:
    config = read_config(config_file).detector if config_file else SCRIPTED.detector
    fetch_detector(config)
    return config


@contextmanager
def _terminable() -> Iterator[None]:
    """Raise `Terminated` on SIGTERM."""

    def terminate(*_: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
