"""The detector stage: texts in, calibrated scores of the six emotions out, and whether one speaks of harm. Many requests share a batch.

It does not know of personas or HTTP.
"""

import asyncio
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Protocol

from models.detector.harm import Category
from models.emotions import LABELS
from models.memory import give_back
from serve.config import NO_TRACES, DetectorConfig, TracingConfig
from serve.detector.batcher import Batches
from serve.tracing import Carrier, Tracing

Scores = tuple[float, ...]
FEW_TEXTS = 16  # at once: an engine beside the detector wants the cores; only who labels a list, or very many people, send more
SIZES: list[float] = [1, 2, 4, 8, 16, 32, 64, 128, 256]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one text was read as: six calibrated scores in label order, the harm that it speaks of, if any, and the name of who read it."""

    scores: Scores
    harm: Category | None = None
    reader: str = ""


class Reader(Protocol):
    """What classifies. `read` blocks, and returns one reading for each text."""

    name: str

    def read(self, texts: list[str]) -> list[Reading]: ...


class ModelReader:
    """The trained detector, and its probe for messages that speak of harm."""

    def __init__(self, config: DetectorConfig) -> None:
        import torch

        from models.detector.harm_probe import HarmProbe
        from models.detector.int8.classifier import open_classifier

        self._few, self._many = config.threads, config.batch_threads or len(os.sched_getaffinity(0))
        self._set_threads = torch.set_num_threads
        self._classifier = open_classifier(config.folder, config.device, config.precision)
        manifest = self._classifier.manifest
        self._probe = HarmProbe(config.folder, manifest.content_hash) if config.harm == "probe" else None
        self.name = f"{manifest.base}@{manifest.content_hash[:12]}"

    def read(self, texts: list[str]) -> list[Reading]:
        self._set_threads(self._few if len(texts) <= FEW_TEXTS else self._many)
        logits, features = self._classifier.read(texts)
        harms = self._probe.categories(features) if self._probe else [None] * len(texts)
        rows = self._classifier.calibrated(logits).tolist()
        return [Reading(tuple(row), harm) for row, harm in zip(rows, harms, strict=True)]


class ScriptedReader:
    """Deterministic and without weights: the emotion that the text names, else one drawn from its hash; and the harm that it names."""

    name = "scripted"

    def read(self, texts: list[str]) -> list[Reading]:
        return [self._reading(text.lower()) for text in texts]

    def _reading(self, text: str) -> Reading:
        named = [label.id for label in LABELS if label in text]
        chosen = named[0] if named else hashlib.sha256(text.encode()).digest()[0] % len(LABELS)
        scores = tuple(0.9 if number == chosen else 0.02 for number in range(len(LABELS)))
        return Reading(scores, next((category for category in Category if category in text), None))


class ShieldedReader:
    """Another reader's scores, and the harm that ShieldGemma sees."""

    def __init__(self, reader: Reader, config: DetectorConfig) -> None:
        from models.detector.shieldgemma import ShieldGemma
        from models.weights.cache import materialize

        self._reader, self.name = reader, reader.name
        self._shield = ShieldGemma(materialize(config.shieldgemma).folder, config.device)

    def read(self, texts: list[str]) -> list[Reading]:
        harms = self._shield.categories(texts)
        return [replace(reading, harm=harm) for reading, harm in zip(self._reader.read(texts), harms, strict=True)]


def open_reader(config: DetectorConfig) -> Reader:
    """Loads what classifies."""
    reader: Reader = ScriptedReader() if config.kind == "scripted" else ModelReader(config)
    return ShieldedReader(reader, config) if config.harm == "shieldgemma" else reader


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A text that waits for a batch, and the span that it is part of."""

    text: str
    trace: Carrier


class Detector:
    """A replica. Batches form while the previous one is computed; a batch takes what waits, up to `batch_size`."""

    def __init__(self, config: DetectorConfig, tracing: TracingConfig = NO_TRACES) -> None:
        from serve.metrics import counter, histogram

        self._tracing = Tracing(tracing, "detector")
        self._sizes = histogram("fye_batch_texts", "texts in a batch of the detector", SIZES)
        self._errors = counter("fye_detect_errors", "batches that the detector could not read")
        self._reader = open_reader(config)
        give_back()
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._batches = Batches(self._read_together, config.batch_size)

    async def read(self, texts: list[str], trace: Carrier) -> list[Reading]:
        """A reading of each text of one request, batched with those of other requests."""
        readings = await self._batches.of(_Waiting(text, trace) for text in texts)
        return [replace(reading, reader=self._reader.name) for reading in readings]

    async def probe(self) -> None:
        """Answering it shows that the replica is up."""

    async def _read_together(self, waiting: list[_Waiting]) -> list[Reading]:
        """One batch. Each request that has part in it gets it as a span of its own."""
        self._sizes.observe(len(waiting))
        with ExitStack() as spans:
            for trace in {each.trace["traceparent"]: each.trace for each in waiting if each.trace}.values():
                spans.enter_context(self._tracing.span("batch", trace, "SERVER")).note(texts=len(waiting))
            try:
                return await self._batch([each.text for each in waiting])
            except Exception:
                self._errors.inc()
                raise

    async def _batch(self, texts: list[str]) -> list[Reading]:
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        loop = asyncio.get_running_loop()
        rows: Any = await loop.run_in_executor(self._thread, self._reader.read, [texts[number] for number in order])
        placed = dict(zip(order, rows, strict=True))
        return [placed[number] for number in range(len(texts))]

    def __del__(self) -> None:  # Serve calls it before it ends a replica
        if hasattr(self, "_tracing"):
            self._tracing.close()
