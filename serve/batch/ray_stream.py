"""Stream of labels from Ray Data: read tasks yield texts, detectors label them, order is kept."""

import logging
import os
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from typing import TYPE_CHECKING, Any

from models.machine.cores import usable_cores
from serve.batch.classify import ChunkClassifier
from serve.batch.formats.records import Label, Source
from serve.cluster.ray_compat import start_local_ray
from serve.config import DetectorConfig
from serve.errors import InputFileError, ServingError

if TYPE_CHECKING:
    from ray.data import Dataset

# One chunk of ordinary texts makes a block, so labels arrive often and a kill loses few of them.
BLOCK_BYTES = 64 * 2**10
OBJECT_STORE_BYTES = 256 * 2**20  # bounds how far the reader is ahead of the detectors
Labels = list[Label | None]


@contextmanager
def local_ray(workers: int) -> Iterator[None]:
    """Run a Ray of its own on this machine, with a CPU per detector and one for the reader.

    It is shut down at the end and after an `Exception`, not if the process is about to end.
    """
    import ray

    # Ray Data's own way to start a worker makes Ray print complaints that mean nothing here.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    with _kept_sigterm_handler():
        start_local_ray(workers + 1, object_store_memory=OBJECT_STORE_BYTES)
    # Ray prints its warnings to stdout, which may be the output.
    with redirect_stdout(sys.stderr):
        try:
            yield
        except Exception:
            ray.shutdown()
            raise
        # A run that a signal stops leaves Ray to its reaper. Ray's C++ ends the whole process with
        # status 1 if it talks to a raylet that has just been ended.
        ray.shutdown()


@contextmanager
def _kept_sigterm_handler() -> Iterator[None]:
    """Keep Ray from replacing the SIGTERM handler when it starts.

    Ray's own would end its processes and then wait a minute for them to start. Ray's C++ installs
    one as well, which prints a stack: it is replaced when Ray has started.
    """
    from ray._private import utils

    replace = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda _: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = replace
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))


class LabelStream:
    """Labels of consecutive files, taken chunk by chunk."""

    def __init__(self, items: Iterator[tuple[int, Labels]]) -> None:
        """Take labels from `stream_labels`."""
        self._items = items
        self._held: tuple[int, Labels] | None = None

    def take(self, source: int) -> Labels | None:
        """Return the labels of the source's next chunk, None if there are no more."""
        item = self._held or next(self._items, None)
        while item is not None and item[0] < source:  # of a file that failed in the middle
            item = next(self._items, None)
        self._held = None
        if item is None or item[0] == source:
            return item[1] if item else None
        self._held = item
        return None


def stream_labels(
    sources: list[tuple[Source, int]], config: DetectorConfig, workers: int
) -> Generator[tuple[int, Labels], None, None]:
    """Label every chunk of the sources but those that are known already.

    Args:
        sources: files, each with the number of chunks at its beginning to leave out.
        config: the detector.
        workers: number of detectors.

    Yields:
        the index of the source and the labels of its next chunk, in the order of the files.

    Raises:
        ServingError: a detector or the reader failed.
    """
    import ray

    try:
        for row in _dataset(sources, config, workers).iter_rows():
            labels = [label and Label(*label.values()) for label in row["labels"]]
            yield row["source"], labels
    except ray.exceptions.RayError as error:
        reason = str(getattr(error, "cause", None) or error).strip().splitlines()[-1]
        raise ServingError(f"the detector failed: {reason}") from error


def _dataset(sources: list[tuple[Source, int]], config: DetectorConfig, workers: int) -> "Dataset":
    import ray

    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.target_max_block_size = BLOCK_BYTES
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    threads = max(usable_cores() // workers, 1)
    settings = config.model_copy(update={"threads": threads, "batch_threads": threads})
    # One reader at a time: a file that is read ahead of its turn would only fill the memory.
    texts = ray.data.read_datasource(
        _text_source(sources), concurrency=1, override_num_blocks=len(sources)
    )
    labels: Dataset = texts.map_batches(
        ChunkClassifier,
        fn_constructor_args=(settings,),
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
        num_gpus=float(config.device == "cuda"),
    )
    return labels


def _text_source(sources: list[tuple[Source, int]]) -> Any:
    """Return a Ray datasource with one read task per file."""
    from ray.data import Datasource
    from ray.data.block import BlockMetadata
    from ray.data.datasource import ReadTask

    class Texts(Datasource):
        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:
            unknown = BlockMetadata(None, None, None, None)
            numbered = enumerate(sources)
            return [
                ReadTask(partial(_blocks, index, *source), unknown) for index, source in numbered
            ]

    make: Any = Texts
    return make()


def _blocks(index: int, source: Source, known: int) -> Iterator[Any]:
    """Yield one row per chunk. Errors of the file end it here: the writer finds them, too."""
    import pyarrow as pa

    kind = pa.schema([("source", pa.int64()), ("texts", pa.list_(pa.string()))])
    try:
        for number, texts in enumerate(source.texts()):
            if number >= known:
                yield pa.table({"source": [index], "texts": [texts]}, schema=kind)
    except (OSError, InputFileError):
        return
