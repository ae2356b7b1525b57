"""The stage that HTTP reaches: it holds the handles of the other two and walks a message through them."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from serve.admission import Gate, Gates
from serve.config import SafetyConfig
from serve.deadline import until, within
from serve.detector import Scores
from serve.errors import NotReady, Overloaded
from serve.events import Event, Message
from serve.pipeline import answer
from serve.quota import Quota
from serve.responder import Ask, Piece
from serve.safety import Category, open_checker
from serve.telemetry import Telemetry

PROBE_TIMEOUT_S = 5


class Ingress:
    """A replica. Its HTTP routes are in `serve.http`. The gates bound what it has under way in the stages behind it."""

    def __init__(
        self,
        gates: Gates,
        safety: SafetyConfig,
        detector: DeploymentHandle[Any],
        responder: DeploymentHandle[Any],
        directory: DeploymentHandle[Any],
    ) -> None:
        self._checker, self._telemetry, self._quota = open_checker(safety), Telemetry(), Quota()
        self._answers, self._texts = (Gate(limit, served) for limit, served in (gates.answers, gates.texts))
        self._detector, self._responder, self.directory = detector, responder, directory
        self._streaming = responder.options(stream=True)
        self._ready = False

    def answer(self, message: Message) -> AsyncGenerator[Event]:
        """The events of an answer. Raises ComeBackLater before the first, DeadlineExceeded at the message's deadline."""
        return self._telemetry.watched(message, self._admitted(message))

    async def _admitted(self, message: Message) -> AsyncGenerator[Event]:
        with self._quota.enter(message.key, message.sampling.max_tokens), self._answers.enter():
            async with aclosing(until(message.deadline_s, answer(self, message))) as events:
                async for event in events:
                    yield event

    async def check(self, texts: Sequence[str]) -> Category | None:
        return await self._checker.check(texts)

    async def detect(self, text: str) -> Scores:
        with _refusals():
            scores: Scores = await self._detector.detect.remote(text)
            return scores

    async def detect_many(self, texts: list[str], deadline_s: float) -> tuple[str, list[Scores]]:
        """The detector's name, and the scores of each text. Raises Overloaded or DeadlineExceeded."""
        with self._texts.enter(len(texts)), _refusals():
            both = asyncio.gather(self._detector.describe.remote(), self._detector.detect_many.remote(texts))
            name, scores = await within(deadline_s, both)
            return name, scores

    async def respond(self, ask: Ask) -> AsyncGenerator[Piece]:
        pieces: Any = self._streaming.respond.remote(ask)
        try:
            with _refusals():
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


@contextmanager
def _refusals() -> Iterator[None]:
    """Serve's own limit is the last resort, where several ingresses share a stage. Raises Overloaded."""
    try:
        yield
    except serve.exceptions.BackPressureError as error:
        raise Overloaded("too many requests at once; come back when Retry-After says") from error


async def this_ingress() -> Ingress:
    """The ingress of the replica that runs this code: what the HTTP routes depend on."""
    ingress: Any = serve.get_replica_context().servable_object
    return ingress  # type: ignore[no-any-return]
