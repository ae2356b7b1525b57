"""Client of the detector deployment: one retry for a replica that dies, one hedge for a slow one.

A large call is split into pieces, of which a few run at a time. The rest waits here, so that
no other user's texts wait behind it.

Hedged requests are from Dean and Barroso, The Tail at Scale (2013).
"""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ray.exceptions import NodeDiedError, RayActorError, WorkerCrashedError
from ray.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    ReplicaUnavailableError,
)
from ray.serve.handle import DeploymentHandle

from models.prompt import Turn
from serve.config import FEWEST_TOKENS
from serve.detector.protocol import (
    SMALL_TEXTS,
    Detection,
    Input,
    Priority,
    split_texts,
)
from serve.errors import TOO_MANY, NotReady, Overloaded, ReplicaFailed
from serve.pipeline.admission import Gate
from serve.telemetry.metrics import counter
from serve.telemetry.tracing import Carrier, Tracing

DIED = (RayActorError, NodeDiedError, WorkerCrashedError)
MAX_REPLICA_DEATHS = 2  # the request itself may be the cause
RETRY_DELAY_S = 0.1
PIECE_TEXTS = 32
PIECES_AT_ONCE = 4  # of one call
HEDGE_AFTER_S = 10.0  # a replica may hang; one hedge at most, since detectors may just be slow


class DetectorClient:
    """Detector as seen from a responder replica."""

    def __init__(self, detector: DeploymentHandle[Any], texts: Gate, tracing: Tracing) -> None:
        """Take `Retry-After` from the gate `texts`, which sees how fast texts are classified."""
        self._detector = detector
        self._texts = texts
        self._tracing = tracing
        self._retries = counter("fye_retries", "Detector calls that were repeated", ("stage",))

    async def classify_many(self, texts: list[str], trace: Carrier) -> list[Detection]:
        """Return a detection of each text, after those of conversations. Raises as `classify`."""
        if len(texts) <= SMALL_TEXTS:
            return await self.classify(texts, trace, Priority.SMALL)
        free = asyncio.Semaphore(PIECES_AT_ONCE)

        async def classify_piece(piece: list[str]) -> list[Detection]:
            async with free:
                return await self.classify(piece, trace, Priority.BULK)

        pieces = split_texts(texts, PIECE_TEXTS, PIECE_TEXTS * FEWEST_TOKENS)
        tasks = [asyncio.ensure_future(classify_piece(piece)) for piece in pieces]
        try:
            return [found for piece in await asyncio.gather(*tasks) for found in piece]
        finally:
            for task in tasks:
                task.cancel()

    async def classify(
        self, inputs: Sequence[Input], trace: Carrier, priority: Priority = Priority.CHAT
    ) -> list[Detection]:
        """Return a detection of each text or conversation. The caller has a deadline.

        Raises:
            Overloaded: the detectors are full.
            NotReady: the detector deployment has failed.
            ReplicaFailed: two replicas died while they classified these inputs.
        """
        with self._tracing.span("detect", trace, "CLIENT") as span:
            span.set(texts=len(inputs))
            deaths = 0
            while True:
                try:
                    with self._rejections():
                        return await self._hedged(inputs, span.carrier, priority)
                except ReplicaUnavailableError:  # it has not taken the call
                    self._retries.inc(tags={"stage": "detector"})
                except DIED as error:
                    deaths += 1
                    if deaths == MAX_REPLICA_DEATHS:
                        raise ReplicaFailed(
                            "two detector replicas died during this request"
                        ) from error
                    self._retries.inc(tags={"stage": "detector"})
                await asyncio.sleep(RETRY_DELAY_S)

    async def score(
        self, turns: tuple[Turn, ...], answers: Sequence[str], trace: Carrier
    ) -> list[float]:
        """Return the critic's logit of each answer. The call is neither repeated nor hedged.

        Raises:
            Overloaded: the detectors are full.
            NotReady: the detector deployment has failed.
            RayError: the replica died, or its critic failed.
        """
        with self._tracing.span("critic", trace, "CLIENT") as span, self._rejections():
            span.set(answers=len(answers))
            result: Awaitable[list[float]] = self._detector.score.remote(
                turns, answers, span.carrier
            )
            return await result

    async def ping(self) -> None:
        """Return once a replica has answered."""
        await self._detector.ping.remote()

    async def _hedged(
        self, inputs: Sequence[Input], trace: Carrier, priority: Priority
    ) -> list[Detection]:
        """Return the first result of two calls, the second made only if the first takes long."""
        calls = [asyncio.ensure_future(_call(self._detector, inputs, trace, priority))]
        try:
            done, _ = await asyncio.wait(calls, timeout=HEDGE_AFTER_S)
            if not done:
                self._retries.inc(tags={"stage": "detector"})
                hedge = _call(self._detector, inputs, trace, priority)
                calls.append(asyncio.ensure_future(hedge))
            return await _first_result(calls)
        finally:
            for call in calls:
                call.cancel()

    @contextmanager
    def _rejections(self) -> Iterator[None]:
        """Turn Serve's rejections into ours."""
        try:
            yield
        except BackPressureError as error:
            raise Overloaded(TOO_MANY, self._texts.retry_after_s()) from error
        except DeploymentUnavailableError as error:
            raise NotReady("the detector failed to start") from error


async def _call(
    detector: DeploymentHandle[Any], inputs: Sequence[Input], trace: Carrier, priority: Priority
) -> list[Detection]:
    result: Awaitable[list[Detection]] = detector.classify.remote(inputs, trace, priority)
    return await result


async def _first_result(calls: Sequence[asyncio.Future[list[Detection]]]) -> list[Detection]:
    """Return the first result. If no call has one, raise the error of the first in the list."""
    pending = set(calls)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for call in done:
            if not call.cancelled() and call.exception() is None:
                return call.result()
    return calls[0].result()
