"""Detector deployment: classifies the texts of many requests in shared batches."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ParamSpec, TypeVar

from models.machine.memory import trim_heap
from models.prompt import Turn
from serve.capacity.meters import DetectorMeter
from serve.config import FEWEST_TOKENS, NO_TRACES, DetectorConfig, TracingConfig
from serve.detector.batcher import ContinuousBatcher
from serve.detector.classifiers import load_classifier
from serve.detector.critic import load_critic
from serve.detector.protocol import Detection, Input, Priority, length_of, tokens_of
from serve.errors import NotReady
from serve.telemetry.metrics import counter, histogram
from serve.telemetry.tracing import Carrier, Tracing

P = ParamSpec("P")
Result = TypeVar("Result")

BATCH_SIZE_BUCKETS: list[float] = [1, 2, 4, 8, 16, 32, 64, 128, 256]


@dataclass(frozen=True, slots=True)
class _QueuedInput:
    """A text or conversation waiting for a batch.

    Attributes:
        given: what to classify.
        trace: span of the request that it belongs to.
    """

    given: Input
    trace: Carrier


class Detector:
    """Replica of the detector. It runs one batch at a time, of up to `batch_size` texts."""

    def __init__(
        self,
        config: DetectorConfig,
        tracing: TracingConfig = NO_TRACES,
        critic: Path | None = None,
    ) -> None:
        """Load the classifier, and the critic of a folder if there is one.

        Raises:
            ArtifactError: their weights are missing or not what they should be.
        """
        self._tracing = Tracing(tracing, "detector")
        self._batch_sizes = histogram(
            "fye_batch_texts", "Number of texts in a detector batch", BATCH_SIZE_BUCKETS
        )
        self._errors = counter("fye_detect_errors", "Detector batches that failed")
        self._meter = DetectorMeter()
        self._classifier = load_classifier(config)
        self._critic = load_critic(critic, config) if critic else None
        trim_heap()
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._batcher = ContinuousBatcher(
            self._run_batch,
            config.batch_size,
            lambda entry: tokens_of(entry.given),
            config.batch_size * FEWEST_TOKENS,
        )

    async def classify(
        self, inputs: Sequence[Input], trace: Carrier, priority: Priority = Priority.CHAT
    ) -> list[Detection]:
        """Classify the inputs of one request, in batches shared with requests of its priority."""
        queued = (_QueuedInput(given, trace) for given in inputs)
        detections = await self._batcher.submit(queued, priority)
        return [replace(found, model=self._classifier.name) for found in detections]

    async def score(
        self, turns: tuple[Turn, ...], answers: Sequence[str], trace: Carrier
    ) -> list[float]:
        """Return the critic's logit of each answer to a conversation.

        It waits for the batch that runs, and for no other: a person waits for it.
        Raises NotReady if this replica has no critic.
        """
        if self._critic is None:
            raise NotReady("this detector replica has no critic; set responder.critic")
        with self._tracing.span("score", trace, "SERVER") as span:
            span.set(answers=len(answers))
            return await self._compute(len(answers), self._critic.score, turns, answers)

    async def ping(self) -> None:
        """Return at once. A reply shows that the replica is up."""

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Return the load. Serve calls it for `serve.capacity.ray_policy`."""
        return self._meter.load().report()

    async def _run_batch(self, batch: list[_QueuedInput]) -> list[Detection]:
        """Classify one batch, and record it as a span of every request that takes part in it."""
        self._batch_sizes.observe(len(batch))
        traces = {entry.trace["traceparent"]: entry.trace for entry in batch if entry.trace}
        with ExitStack() as spans:
            for trace in traces.values():
                span = spans.enter_context(self._tracing.span("batch", trace, "SERVER"))
                span.set(texts=len(batch))
            try:
                return await self._classify_by_length([entry.given for entry in batch])
            except Exception:
                self._errors.inc()
                raise

    async def _classify_by_length(self, inputs: Sequence[Input]) -> list[Detection]:
        """Classify inputs sorted by length, so that those of like length are padded together."""
        order = sorted(range(len(inputs)), key=lambda index: length_of(inputs[index]))
        by_length = [inputs[index] for index in order]
        found = await self._compute(len(inputs), self._classifier.classify, by_length)
        placed = dict(zip(order, found, strict=True))
        return [placed[index] for index in range(len(inputs))]

    async def _compute(
        self, texts: int, model: Callable[P, Result], *args: P.args, **kwargs: P.kwargs
    ) -> Result:
        """Run a model in the one thread, and meter its time there without that in the queue."""

        def metered() -> Result:
            with self._meter.batch(texts):
                return model(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._thread, metered)

    def __del__(self) -> None:
        """Send the remaining spans. Serve calls this before it stops a replica."""
        if hasattr(self, "_tracing"):
            self._tracing.close()
