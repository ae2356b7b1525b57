"""The stage that HTTP reaches: it lets in what there is a place for, walks it through the other stages, and counts how it ended."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from ray import serve
from ray.exceptions import RayActorError
from ray.serve.handle import DeploymentHandle

from serve.admission import Gate, Gates
from serve.characters import Characters
from serve.deadline import until, within
from serve.detector import Reading
from serve.errors import NotReady
from serve.events import Event, Message
from serve.pipeline import answer
from serve.quota import Quota
from serve.remote import RemoteStages
from serve.telemetry import Telemetry

PROBE_TIMEOUT_S = 5


class Ingress:
    """A replica. Its HTTP routes are in `serve.http`. The gates bound what it has under way in the stages behind it."""

    def __init__(
        self,
        gates: Gates,
        detector: DeploymentHandle[Any],
        responder: DeploymentHandle[Any],
        directory: DeploymentHandle[Any],
    ) -> None:
        self._stages = RemoteStages(detector, responder)
        self._answers, self._texts = (Gate(limit, served) for limit, served in (gates.answers, gates.texts))
        self._telemetry, self._quota = Telemetry(), Quota()
        self.directory, self.characters = directory, Characters(directory.status.remote)
        self._ready = False

    def answer(self, message: Message) -> AsyncGenerator[Event]:
        """The events of an answer. Raises ComeBackLater before the first, DeadlineExceeded at the message's deadline."""
        return self._telemetry.watched(message, self._admitted(message))

    async def _admitted(self, message: Message) -> AsyncGenerator[Event]:
        with self._quota.enter(message.key, message.sampling.max_tokens), self._answers.enter():
            async with aclosing(until(message.deadline_s, answer(self._stages, message))) as events:
                async for event in events:
                    yield event

    async def detect(self, texts: list[str], deadline_s: float) -> tuple[str, list[Reading]]:
        """The detector's name, and a reading of each text. Raises Overloaded or DeadlineExceeded."""
        with self._texts.enter(len(texts)):
            return await within(deadline_s, asyncio.gather(self._stages.describe(), self._stages.read(texts)))

    async def probe(self) -> None:
        """Returns once every stage has answered. Raises NotReady."""
        if self._ready:
            return
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await self._stages.probe()
        except (TimeoutError, RayActorError, serve.exceptions.RayServeException) as error:
            raise NotReady("a stage has not answered yet") from error
        self._ready = True


async def this_ingress() -> Ingress:
    """The ingress of the replica that runs this code: what the HTTP routes depend on."""
    ingress: Any = serve.get_replica_context().servable_object
    return ingress  # type: ignore[no-any-return]
