"""Plan of a run: which files are read, and where each result goes."""

import glob
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from serve.batch.formats.registry import FORMATS, ReadOptions, format_of
from serve.errors import InputFileError

STANDARD = "-"  # stdin as a source, stdout as an output
MARK = ".labelled"
OUT, REJECTS = "--out", "--rejects"
REJECTED_ROW = re.compile(rb'{"line": \d+, "reason": "')  # as `Output` writes it


@dataclass(frozen=True)
class Job:
    """One input file and its output.

    Attributes:
        source: file to read, None for stdin.
        out: file to write, None for stdout.
        rejects: file for rows with problems, None to count them only.
        compression: of the output: gz, zst or None.
    """

    source: Path | None
    out: Path | None
    rejects: Path | None
    compression: str | None

    @property
    def targets(self) -> list[tuple[str, Path]]:
        """Option and path of each file that is written; not devices, pipes and stdout."""
        paths = {OUT: self.out, REJECTS: self.rejects}
        return [(option, path) for option, path in paths.items() if path and is_plain(path)]

    @property
    def name(self) -> str:
        """Name of the input in messages."""
        return str(self.source) if self.source else "stdin"


def plan_jobs(
    patterns: list[str], out: str | None, rejects: Path | None, options: ReadOptions
) -> list[Job]:
    """Expand the patterns and choose an output for each file.

    Raises:
        InputFileError: no file matches, or an output cannot be used.
    """
    sources = [source for pattern in patterns for source in _expand(pattern)]
    several = len(sources) > 1
    if several and out == STANDARD:
        raise InputFileError("--out -: expected one input file; several need a folder")
    if several and rejects:
        raise InputFileError("--rejects: expected one input file; each of several has its own")
    jobs = [_job(source, out, rejects, several) for source in dict.fromkeys(sources)]
    for job in jobs:
        _check(job, options)
    if rejects is not None:
        _check_rejects(rejects)
    _check_apart(jobs)
    return jobs


def _expand(pattern: str) -> list[Path | None]:
    if pattern == STANDARD:
        return [None]
    if Path(pattern).exists() or not glob.has_magic(pattern):
        return [Path(pattern)]
    found = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]
    # Results of an earlier run match the pattern of its inputs.
    files: list[Path | None] = [path for path in found if path.is_file() and MARK not in path.name]
    if not files:
        raise InputFileError(f"{pattern}: no file matches")
    return files


def _job(source: Path | None, out: str | None, rejects: Path | None, several: bool) -> Job:
    target = _output(source, out, several)
    if target is None:
        return Job(source, None, rejects, None)
    default = target.with_name(f"{target.name}.rejects.jsonl")
    chosen = rejects or (default if is_plain(target) else None)
    return Job(source, target, chosen, format_of(target)[1])


def _output(source: Path | None, out: str | None, several: bool) -> Path | None:
    if out == STANDARD or (out is None and source is None):
        return None
    if source is None:
        return Path(out or "")
    if out is None:
        return source.with_name(_marked(source))
    if several or Path(out).is_dir() or out.endswith(os.sep):
        return Path(out) / _marked(source)
    return Path(out)


def _marked(source: Path) -> str:
    """Insert the mark before the suffixes that name format and compression."""
    count = 2 if format_of(source)[1] else 1
    ending = "".join(source.suffixes[-count:])
    return f"{source.name.removesuffix(ending)}{MARK}{ending}"


def _check(job: Job, options: ReadOptions) -> None:
    _check_source(job, options)
    kind = options.format or (format_of(job.source)[0] if job.source else None)
    if job.out is None and kind == "parquet" and sys.stdout.isatty():
        raise InputFileError("--out -: Parquet is binary; redirect it to a file")
    if job.out is not None and is_plain(job.out):
        _check_output(job.out, kind, named=options.format is not None)


def _check_source(job: Job, options: ReadOptions) -> None:
    if job.source is not None and not job.source.is_file():
        reason = "is not a file" if job.source.exists() else "no such file"
        raise InputFileError(f"{job.source}: {reason}")
    if job.source is None and options.format is None:
        raise InputFileError("stdin: give its format with --format jsonl, csv or parquet")
    if job.source and options.format is None and format_of(job.source)[0] is None:
        endings = ", ".join(FORMATS)
        raise InputFileError(
            f"{job.source}: unknown format; expected a name that ends with {endings}, or --format"
        )


def _check_output(out: Path, kind: str | None, *, named: bool) -> None:
    written, compression = format_of(out)
    if written != kind and (written or not named):
        endings = ", ".join(ending for ending, one in FORMATS.items() if one == kind)
        message = f"{out}: cannot convert {kind}; expected a name that ends with {endings}"
        raise InputFileError(message)
    if kind == "parquet" and compression:
        raise InputFileError(f"{out}: Parquet compresses its own columns; drop the suffix")


def _check_rejects(path: Path) -> None:
    """Refuse a file that no earlier run has written: a run without bad rows deletes it."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        head = file.read(64)
    if head and not REJECTED_ROW.match(head):
        raise InputFileError(
            f"{path}: exists and holds no rejected rows; remove it or choose another {REJECTS}"
        )


def _check_apart(jobs: list[Job]) -> None:
    """Refuse outputs that are inputs or other outputs, also under another name or by a link."""
    inputs = {_identity(job.source) for job in jobs if job.source}
    written: dict[object, str] = {}
    for job in jobs:
        for option, path in job.targets:
            identity = _identity(path)
            if identity in inputs:
                raise InputFileError(f"{path}: is the input itself; choose another {option}")
            if written.setdefault(identity, job.name) != job.name:
                raise InputFileError(f"{path}: two input files have this output; run them apart")
        if len({_identity(path) for _, path in job.targets}) < len(job.targets):
            raise InputFileError(f"{job.rejects}: is the output itself; choose another {REJECTS}")


def _identity(path: Path) -> object:
    """Return the same value for two paths of one file."""
    try:
        found = path.stat()
    except OSError:
        return path.resolve()
    return found.st_dev, found.st_ino


def is_plain(path: Path) -> bool:
    """Tell a file, which is written under a temporary name, from a device or a pipe."""
    return path.is_file() or not path.exists()
