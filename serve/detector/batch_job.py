"""`python -m serve detect`: labels a whole file. Rows stream through Ray Data to detectors and back into one file, in their order.

file (jsonl, csv, parquet) -> blocks -> detectors, as many as asked for -> the same rows and three columns -> file of the same kind
"""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from models.emotions import LABELS
from models.errors import FyeError
from serve.cli.config_file import read_config
from serve.cli.weights import fetch_detector
from serve.config import SCRIPTED, DetectorConfig
from serve.detector.protocol import Classifier, Detection
from serve.detector.readers import load_classifier
from serve.errors import InputFileError
from serve.ray_compat import set_ray_environment

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data import Dataset

KINDS = (".jsonl", ".csv", ".parquet")
ADDED = ("detected_emotion", "detected_score", "detected_harm")
TEXTS = ("string", "large_string", "null")  # kinds of column, as Arrow names them; a column of nulls has no texts, which is no mistake
BLOCK = 1024  # rows that a detector gets at once: enough to read texts of like length together
console = Console(stderr=True, highlight=False)


class Labeller:
    """A detector among Ray Data's workers."""

    def __init__(self, config: DetectorConfig, column: str) -> None:
        self._reader, self._size, self._column = load_classifier(config), config.batch_size, column

    def __call__(self, block: "pa.Table") -> "pa.Table":
        import pyarrow as pa

        rows = [_labels(reading) for reading in read_sorted(self._reader, block[self._column].to_pylist(), self._size)]
        for number, (name, kind) in enumerate(zip(ADDED, (pa.string(), pa.float64(), pa.string()), strict=True)):
            block = block.append_column(name, pa.array([row[number] for row in rows], kind))
        return block


def _labels(reading: Detection | None) -> tuple[str | None, float | None, str | None]:
    if reading is None:
        return None, None, None
    score, label = max(zip(reading.scores, LABELS, strict=True), key=lambda pair: pair[0])
    return label.value, round(score, 4), reading.harm.value if reading.harm else None


def read_sorted(reader: Classifier, texts: list[str | None], size: int) -> list[Detection | None]:
    """A reading of each text, None for what has no text. Batches are of texts of like length, so little is padded."""
    order = sorted((number for number, text in enumerate(texts) if text), key=lambda number: len(texts[number] or ""))
    found: list[Detection | None] = [None] * len(texts)
    for start in range(0, len(order), size):
        numbers = order[start : start + size]
        for number, reading in zip(numbers, reader.classify([texts[number] or "" for number in numbers]), strict=True):
            found[number] = reading
    return found


def detect_file(source: Path, out: Path, column: str, config: DetectorConfig, workers: int) -> int:
    """Writes `out`, which has three columns more than `source`, and returns how many rows. Raises InputFileError for an unfit file."""
    import ray

    for file in (source, out):
        if file.suffix not in KINDS:
            raise InputFileError(f"{file.name}: its name must end with one of {', '.join(KINDS)}")
    cpus = workers + 1  # Ray counts them only to place: one for each detector, one for whatever reads the file
    ray.init("local", num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        rows = _opened(source, column)
        if (total := rows.count()) == 0:
            raise InputFileError(f"{source.name}: it has no rows")
        threads = max((os.cpu_count() or 1) // workers, 1)
        config = config.model_copy(update={"threads": threads})
        labelled = rows.map_batches(
            Labeller,
            fn_constructor_args=(config, column),
            batch_size=BLOCK,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
            num_gpus=float(config.device == "cuda"),
        )
        return _written(labelled, out, total)
    finally:
        ray.shutdown()


def _opened(source: Path, column: str) -> "Dataset":
    import ray

    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    readers: dict[str, Callable[..., Dataset]] = {
        ".jsonl": partial(ray.data.read_json, lines=True),
        ".csv": ray.data.read_csv,
        ".parquet": ray.data.read_parquet,
    }
    if source.is_file() and not source.stat().st_size:
        raise InputFileError(f"{source.name}: it has no rows")
    rows = readers[source.suffix](str(source))
    schema = rows.schema()
    kinds = dict(zip(schema.names, schema.types, strict=True)) if schema else {}
    if not kinds:
        raise InputFileError(f"{source.name}: it has no rows")  # Ray Data sees no columns where there is nothing but a header
    _check(source.name, column, {name: str(kind) for name, kind in kinds.items()})
    return rows


def _check(file: str, column: str, kinds: dict[str, str]) -> None:
    """Raises InputFileError unless there is such a column, it holds texts, and the names of those that are added are free."""
    if column not in kinds:
        raise InputFileError(f"{file}: no column {column!r}; it has {', '.join(kinds)}")
    if kinds[column] not in TEXTS:
        raise InputFileError(f"{file}: the column {column!r} holds {kinds[column]}, not texts")
    if taken := set(ADDED) & set(kinds):
        raise InputFileError(f"{file}: it has {', '.join(sorted(taken))} already")


def _written(labelled: "Dataset", out: Path, total: int) -> int:
    """One file, under its name only once it is whole."""
    part, done = out.with_name(f"{out.name}.part"), 0
    out.parent.mkdir(parents=True, exist_ok=True)
    with _progress(total) as step, _writer(out.suffix, part) as write:
        for block in cast("Iterator[pa.Table]", labelled.iter_batches(batch_size=BLOCK, batch_format="pyarrow")):
            write(block)
            done += block.num_rows
            step(block.num_rows)
    part.replace(out)
    return done


@contextmanager
def _writer(suffix: str, part: Path) -> Iterator[Callable[["pa.Table"], object]]:
    """What appends a block to the file."""
    if suffix == ".jsonl":
        with part.open("w", encoding="utf-8") as lines:
            yield lambda block: lines.writelines(f"{json.dumps(row, ensure_ascii=False, default=str)}\n" for row in block.to_pylist())
        return
    from pyarrow.csv import CSVWriter
    from pyarrow.parquet import ParquetWriter

    opened: list[CSVWriter | ParquetWriter] = []

    def write(block: "pa.Table") -> None:
        if not opened:
            opened.append((CSVWriter if suffix == ".csv" else ParquetWriter)(part, block.schema))
        opened[0].write_table(block)

    try:
        yield write
    finally:
        for one in opened:
            one.close()


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    with Progress(BarColumn(), MofNCompleteColumn(), TextColumn("texts"), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("", total=total)
        yield lambda rows: bar.advance(task, rows)


def start(source: Path, out: Path, column: str, config_file: Path | None, workers: int) -> int:
    """The command: an exit status, and one plain sentence for an error that the operator can mend."""
    set_ray_environment()
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # Ray Data's own way to start a worker has Ray complain
    try:
        config = read_config(config_file).detector if config_file else SCRIPTED.detector
        fetch_detector(config)
        rows = detect_file(source, out, column, config, workers)
    except FyeError as error:
        console.print(f"[red]{type(error).__name__}:[/] {escape(str(error))}")
        return 1
    console.print(f"{rows} rows in {out}")
    return 0
