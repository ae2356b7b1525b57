"""The stage that HTTP reaches: it lets in what there is a place for, walks it through the other stages, and counts how it ended."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from ray import serve
from ray.exceptions import RayActorError
from ray.serve.handle import DeploymentHandle

from serve.adapters.persona_cache import Characters
from serve.config import TracingConfig
from serve.detector.replica import Reading
from serve.errors import NotReady
from serve.metrics import Telemetry
from serve.pipeline.admission import Gate, Gates
from serve.pipeline.messages import Event, Message, Texts
from serve.pipeline.quota import Quota
from serve.pipeline.respond import Stages, answer
from serve.pipeline.stage_client import RemoteStages
from serve.pipeline.stage_tracing import TracedStages
from serve.streaming import until, within
from serve.tracing import Tracing

PROBE_TIMEOUT_S = 5


class Ingress:
    """A replica. Its HTTP routes are in `serve.api.routes`. The gates bound what it has under way in the stages behind it.

    `harm` says whether the detector finds messages that speak of harm.
    """

    def __init__(
        self,
        gates: Gates,
        detector: DeploymentHandle[Any],
        responder: DeploymentHandle[Any],
        directory: DeploymentHandle[Any],
        harm: bool,
        tracing: TracingConfig,
    ) -> None:
        self._answers, self._texts = (Gate(limit, served) for limit, served in (gates.answers, gates.texts))
        self._remote = RemoteStages(detector, responder, self._answers, self._texts)
        self._tracing, self._harm = Tracing(tracing, "ingress"), harm
        self._stages: Stages = TracedStages(self._remote, self._tracing) if tracing.endpoint else self._remote
        self._telemetry, self._quota = Telemetry(), Quota()
        self.directory, self.characters = directory, Characters(directory.status.remote)
        self._ready = False

    def answer(self, message: Message) -> AsyncGenerator[Event]:
        """The events of an answer. Raises ComeBackLater before the first, DeadlineExceeded at the message's deadline."""
        span = self._tracing.span("request", message.trace, "SERVER", message.began_s)
        asked = replace(message, trace=span.carrier)
        return self._telemetry.watched(asked, self._admitted(asked), span)

    async def _admitted(self, message: Message) -> AsyncGenerator[Event]:
        with self._answers.enter(), self._quota.enter(message.key, message.sampling.max_tokens):
            async with aclosing(until(message.deadline_s, answer(self._stages, message, self._harm))) as events:
                async for event in events:
                    yield event

    async def detect(self, asked: Texts) -> list[Reading]:
        """A reading of each text. Raises ComeBackLater or DeadlineExceeded."""
        span = self._tracing.span("request", asked.trace, "SERVER", asked.began_s)
        with span, self._telemetry.reading(asked, span), self._texts.enter(len(asked.texts)), self._quota.enter(asked.key, 0):
            return await within(asked.deadline_s, self._stages.read(list(asked.texts), span.carrier))

    async def probe(self) -> None:
        """Returns once every stage has answered. Raises NotReady."""
        if self._ready:
            return
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await self._remote.probe()
        except (TimeoutError, RayActorError, serve.exceptions.RayServeException) as error:
            raise NotReady("a stage has not answered yet") from error
        self._ready = True

    def __del__(self) -> None:  # Serve calls it before it ends a replica
        if hasattr(self, "_tracing"):
            self._tracing.close()


async def this_ingress() -> Ingress:
    """The ingress of the replica that runs this code: what the HTTP routes depend on."""
    ingress: Any = serve.get_replica_context().servable_object
    return ingress  # type: ignore[no-any-return]
