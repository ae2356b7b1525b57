"""The stages as Serve's handles reach them: what is lost before it has begun is asked again, until its deadline ends it.

A replica or a node may die at any time. What has begun cannot be begun again: it ends with an error that says so.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ray.exceptions import NodeDiedError, RayActorError, WorkerCrashedError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle

from serve.detector import Reading
from serve.errors import NotReady, Overloaded, ReplicaLost
from serve.responder import Ask, Piece
from serve.telemetry import counter
from serve.tracing import Carrier

LOST = (RayActorError, NodeDiedError, WorkerCrashedError, ReplicaUnavailableError)
AGAIN_S = 0.1
Found = TypeVar("Found")


class RemoteStages:
    """The detector and the responder of the running application."""

    def __init__(self, detector: DeploymentHandle[Any], responder: DeploymentHandle[Any]) -> None:
        self._detector, self._responder = detector, responder
        self._streaming = responder.options(stream=True)
        self._retries = counter("fye_retries", "calls of a stage that were lost and made again", ("stage",))

    async def read(self, texts: list[str], trace: Carrier) -> list[Reading]:
        readings: list[Reading] = await self._again(lambda: self._detector.read.remote(texts, trace))
        return readings

    async def describe(self) -> str:
        """The detector's name."""
        name: str = await self._again(lambda: self._detector.describe.remote())
        return name

    async def respond(self, ask: Ask) -> AsyncGenerator[Piece]:
        """Pieces of one answer. Raises Overloaded, or ReplicaLost once there has been a piece."""
        begun = False
        while True:
            pieces: Any = self._streaming.respond.remote(ask)
            try:
                with _refusals():
                    async for piece in pieces:
                        begun = True
                        yield piece
                return
            except LOST as error:
                if begun:
                    raise ReplicaLost("the replica that wrote this answer was lost") from error
            finally:
                pieces.cancel()  # does nothing to a stream that has ended
            await self._lost("responder")

    async def probe(self) -> None:
        """Returns once every stage has answered."""
        await asyncio.gather(self._detector.describe.remote(), self._responder.stats.remote())

    async def _again(self, call: Callable[[], Awaitable[Found]]) -> Found:
        """The result of a call of the detector, which may be made twice. Whoever calls has a deadline. Raises Overloaded or NotReady."""
        while True:
            try:
                with _refusals():
                    return await call()
            except LOST:
                await self._lost("detector")

    async def _lost(self, stage: str) -> None:
        """Returns when the call may be made again."""
        self._retries.inc(tags={"stage": stage})
        await asyncio.sleep(AGAIN_S)


@contextmanager
def _refusals() -> Iterator[None]:
    """Serve's own limit is the last resort, where several ingresses share a stage."""
    try:
        yield
    except BackPressureError as error:
        raise Overloaded("too many requests at once; come back when Retry-After says") from error
    except DeploymentUnavailableError as error:
        raise NotReady("a stage has failed to start") from error
