"""The stages as Serve's handles reach them: what is lost before it has begun is asked again, until its deadline ends it.

A replica or a node may die or hang at any time. What has begun cannot be begun again: it ends with an error that says so.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from ray.exceptions import NodeDiedError, RayActorError, WorkerCrashedError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle

from serve.detector.replica import Reading
from serve.errors import TOO_MANY, EngineDead, NotReady, Overloaded, ReplicaLost
from serve.heartbeats import LOST_S, SILENT_S
from serve.metrics import counter
from serve.pipeline.admission import Gate
from serve.responder.replica import SIGN, Ask, Piece
from serve.tracing import Carrier

LOST = (RayActorError, NodeDiedError, WorkerCrashedError, ReplicaUnavailableError)
AGAIN_S = 0.1
DEATHS = 3  # of replicas that had taken the same request in: by then it may well be what kills them
Found = TypeVar("Found")


class RemoteStages:
    """The detector and the responder of the running application."""

    def __init__(self, detector: DeploymentHandle[Any], responder: DeploymentHandle[Any], answers: Gate, texts: Gate) -> None:
        """The gates say when to return to a stage that is full, for they see how fast it serves."""
        self._detector, self._responder = detector, responder
        self._answers, self._texts = answers, texts
        self._streaming = responder.options(stream=True)
        self._retries = counter("fye_retries", "calls of a stage that were lost and made again", ("stage",))

    async def read(self, texts: list[str], trace: Carrier) -> list[Reading]:
        readings: list[Reading] = await self._again(lambda: self._detector.read.remote(texts, trace))
        return readings

    async def respond(self, ask: Ask) -> AsyncGenerator[Piece]:
        """Pieces of one answer. Raises Overloaded, or ReplicaLost once there has been a piece."""
        begun, lost, began_s = False, 0, time.monotonic()
        while True:
            left_s = ask.timeout_s - (time.monotonic() - began_s)
            pieces: Any = self._streaming.respond.remote(replace(ask, timeout_s=left_s))
            try:
                with _refusals(self._answers):
                    while (piece := await _next(pieces, LOST_S if begun else SILENT_S)) is not None:
                        if piece != SIGN:
                            begun = True
                            yield piece
                return
            except (*LOST, EngineDead, TimeoutError) as error:
                lost += isinstance(error, LOST)
                if begun or lost >= DEATHS:
                    raise ReplicaLost("the replica that wrote this answer was lost") from error
            finally:
                pieces.cancel()  # does nothing to a stream that has ended
            await self._lost("responder")

    async def probe(self) -> None:
        """Returns once every stage has answered."""
        await asyncio.gather(self._detector.probe.remote(), self._responder.stats.remote())

    async def _again(self, call: Callable[[], Awaitable[Found]]) -> Found:
        """The result of a call of the detector, which may be made twice. Whoever calls has a deadline. Raises Overloaded or NotReady."""
        while True:
            try:
                with _refusals(self._texts):
                    return await self._hedged(call)
            except LOST:
                await self._lost("detector")

    async def _hedged(self, call: Callable[[], Awaitable[Found]]) -> Found:
        """The result that comes first, of two calls if the first is silent for long: its replica may hang.

        Hedged requests are Dean and Barroso's (The Tail at Scale, 2013). There is one hedge at most, and the first call goes on: where
        detectors are only slow, asking again and again would make them slower.
        """
        calls = {asyncio.ensure_future(_result_of(call))}
        try:
            if not (await asyncio.wait(calls, timeout=SILENT_S))[0]:
                self._retries.inc(tags={"stage": "detector"})
                calls.add(asyncio.ensure_future(_unless_full(call)))
            done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for each in calls:
                each.cancel()

    async def _lost(self, stage: str) -> None:
        """Returns when the call may be made again."""
        self._retries.inc(tags={"stage": stage})
        await asyncio.sleep(AGAIN_S)


async def _result_of(call: Callable[[], Awaitable[Found]]) -> Found:
    return await call()


async def _unless_full(call: Callable[[], Awaitable[Found]]) -> Found:
    """The result of a hedge. For one that finds no place nothing ever comes: the first call has its place, and goes on."""
    try:
        return await call()
    except BackPressureError:
        await asyncio.Event().wait()
        raise


async def _next(pieces: AsyncGenerator[Piece], silent_s: float) -> Piece | None:
    """The next piece, None after the last. Raises TimeoutError if there is not even a sign for `silent_s`: the replica hangs."""
    async with asyncio.timeout(silent_s):
        return await anext(pieces, None)


@contextmanager
def _refusals(gate: Gate) -> Iterator[None]:
    """Serve's own limit is the last resort, where several ingresses share a stage. Raises Overloaded; NotReady if nothing can serve."""
    try:
        yield
    except BackPressureError as error:
        raise Overloaded(TOO_MANY, gate.retry_after_s()) from error
    except DeploymentUnavailableError as error:
        raise NotReady("a stage has failed to start") from error
