"""Run over all files: opens them, starts Ray, and labels one file after the other."""

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from models.manifest import DetectorManifest
from serve.batch.background import BackgroundItems
from serve.batch.file_run import FileRun, Task
from serve.batch.formats.records import Source
from serve.batch.formats.registry import ReadOptions, open_source
from serve.batch.journal import Journal
from serve.batch.plan import Job, is_plain
from serve.batch.progress import Progress
from serve.batch.ray_stream import LabelStream, local_ray, stream_labels
from serve.batch.report import Report
from serve.config import DetectorConfig
from serve.errors import InputFileError

COPY_BYTES = 2**20
VERSION = 1  # of the journal; a change of chunks or labels makes earlier journals void


@dataclass(frozen=True)
class RunOptions:
    """Settings of a run.

    Attributes:
        read: how files are read.
        detector: which detector labels.
        workers: number of detectors at once.
        stop_at_problem: fail at the first row with a problem.
        restart: discard the labels of a run that was stopped.
    """

    read: ReadOptions
    detector: DetectorConfig
    workers: int = 1
    stop_at_problem: bool = False
    restart: bool = False


def label_files(jobs: list[Job], options: RunOptions, progress: Progress) -> list[Report]:
    """Label all files, and tell `progress` of each one when it is done.

    A file that cannot be used is reported and does not stop the others.

    Raises:
        InputFileError: a row has a problem and the run stops there.
        ServingError: the detector failed.
    """
    reports: list[Report] = []

    def done(report: Report) -> None:
        reports.append(report)
        progress.finish(report)

    with ExitStack() as stack:
        tasks: list[Task] = []
        for job in jobs:
            try:
                tasks.append(_open_task(job, options, stack))
            except InputFileError as error:
                done(Report(job.name, job.out, error=str(error)))
        if tasks:
            _label_tasks(tasks, options, progress, done)
    return reports


def _label_tasks(
    tasks: list[Task], options: RunOptions, progress: Progress, done: Callable[[Report], None]
) -> None:
    total = 0
    for task in tasks:
        task.offset = total
        total += task.source.path.stat().st_size
    progress.start(total)
    sources = [(task.source, task.known_chunks) for task in tasks]
    # Ray Data must end before Ray does, or its threads print tracebacks.
    with (
        local_ray(options.workers),
        BackgroundItems(stream_labels(sources, options.detector, options.workers)) as labels,
    ):
        stream = LabelStream(labels)
        for index, task in enumerate(tasks):
            run = FileRun(task, stream, progress, stop_at_problem=options.stop_at_problem)
            try:
                done(run.run(index))
            except InputFileError as error:
                if options.stop_at_problem:
                    raise
                done(Report(task.job.name, task.job.out, error=str(error)))


def _open_task(job: Job, options: RunOptions, stack: ExitStack) -> Task:
    path = job.source or _spool_stdin(job.out, stack)
    source = open_source(path, job.name, options.read)
    task = Task(job, source, _identity(job, source, options.detector))
    if job.out is not None and is_plain(job.out):
        job.out.parent.mkdir(parents=True, exist_ok=True)
        task.journal = job.out.with_name(f".{job.out.name}.resume")
        if options.restart:
            task.journal.unlink(missing_ok=True)
        journal = Journal(task.journal, task.identity)
        task.known_chunks = journal.chunks
        journal.close(keep=True)
    return task


def _spool_stdin(out: Path | None, stack: ExitStack) -> Path:
    """Copy stdin to a file, which can be read twice: by Ray's worker and by the writer."""
    # Temporary folders are often in memory, so the file is put where the output has room.
    folder = out.parent if out and is_plain(out) else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    file = tempfile.NamedTemporaryFile(dir=folder, prefix=".stdin-")  # noqa: SIM115 (below)
    spool = stack.enter_context(file)
    while piece := sys.stdin.buffer.read(COPY_BYTES):
        spool.write(piece)
    spool.flush()
    return Path(spool.name)


def _identity(job: Job, source: Source, detector: DetectorConfig) -> str:
    """Describe everything that the labels depend on."""
    stat = source.path.stat()
    content: object = stat.st_mtime_ns if job.source else _sha256(source.path)
    fields = {"kind", "device", "precision", "harm", "shieldgemma"}
    used = detector.model_dump(include=fields)
    weights = None
    if detector.kind != "scripted":
        weights = DetectorManifest.read(detector.folder).content_hash
    parts = [VERSION, stat.st_size, content, source.settings, used, weights]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
