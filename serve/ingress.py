"""The stage that HTTP reaches: it holds the handles of the other two and walks a message through them."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from serve.detector import Scores
from serve.errors import NotReady
from serve.pipeline import Event, Message, answer
from serve.responder import Ask, Piece

PROBE_TIMEOUT_S = 5


class Ingress:
    """A replica. Its HTTP routes are in `serve.http`."""

    def __init__(self, detector: DeploymentHandle[Any], responder: DeploymentHandle[Any]) -> None:
        self._detector, self._responder = detector, responder
        self._streaming = responder.options(stream=True)
        self._ready = False

    def answer(self, message: Message) -> AsyncGenerator[Event]:
        return answer(self, message)

    async def detect(self, text: str) -> Scores:
        scores: Scores = await self._detector.detect.remote(text)
        return scores

    async def detect_many(self, texts: list[str]) -> tuple[str, list[Scores]]:
        """The detector's name, and the scores of each text."""
        name, scores = await asyncio.gather(self._detector.describe.remote(), self._detector.detect_many.remote(texts))
        return name, scores

    async def respond(self, ask: Ask) -> AsyncGenerator[Piece]:
        pieces: Any = self._streaming.respond.remote(ask)
        try:
            async for piece in pieces:
                yield piece
        finally:
            pieces.cancel()  # does nothing to a stream that has ended

    async def probe(self) -> None:
        """Returns once every stage has answered. Raises NotReady."""
        if self._ready:
            return
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await asyncio.gather(self._detector.describe.remote(), self._responder.stats.remote())
        except (TimeoutError, serve.exceptions.RayServeException) as error:
            raise NotReady("a stage has not answered yet") from error
        self._ready = True


async def this_ingress() -> Ingress:
    """The ingress of the replica that runs this code: what the HTTP routes depend on."""
    ingress: Any = serve.get_replica_context().servable_object
    return ingress  # type: ignore[no-any-return]
