"""The responder stage: a conversation and a persona in, pieces of the answer out. One engine batch mixes all personas.

It does not know of detection or HTTP.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from models.prompt import Turn
from serve.adapters.controller import Report
from serve.adapters.registry import Releases
from serve.config import NO_TRACES, ResponderConfig, TracingConfig
from serve.engine.protocol import EngineStats, Sampling, TextChunk
from serve.errors import EngineDead, NotReady, PromptTooLong
from serve.heartbeats import with_signs
from serve.responder.adapter_sync import Follower
from serve.responder.runtime import Backend, open_backend
from serve.responder.voice import BASE_VOICE, voice_of
from serve.streaming import until
from serve.tracing import Carrier, Tracing

log = logging.getLogger(__name__)
WATCH_S = 0.5


@dataclass(frozen=True, slots=True)
class Ask:
    """One answer to generate. `persona` None is the bare base model. `timeout_s` is what is left: clocks of machines differ.

    `trace` is the span that this is part of.
    """

    request_id: str
    persona: str | None
    turns: tuple[Turn, ...]
    sampling: Sampling
    timeout_s: float
    trace: Carrier = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Piece:
    """What travels back: text, and with the last piece the answer's figures and the version of the adapter that wrote it."""

    text: str
    finish_reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    adapter: str | None = None


SIGN = Piece("")  # nothing new, but this replica lives


class Responder:
    """Turns asks into pieces, for any number of them at once."""

    def __init__(
        self, config: ResponderConfig, backend: Backend, follower: Follower | None = None, tracing: TracingConfig = NO_TRACES
    ) -> None:
        self._config, self._backend, self._tracing = config, backend, Tracing(tracing, "responder")
        self._follower = follower or Follower(backend, "alone", _follow_nobody)

    async def respond(self, ask: Ask) -> AsyncGenerator[Piece]:
        """The answer as it is generated. The first piece is passed on at once; under load later ones are joined. In between, signs of life.

        Raises InvalidRequest, PromptTooLong, DeadlineExceeded or EngineError. Closing the generator ends the generation.
        """
        deadline_s = time.monotonic() + ask.timeout_s
        prompt, adapter, sampling = self._prepare(ask)
        written, first = 0, True
        with self._follower.using(adapter), self._tracing.span("generate", ask.trace, "SERVER") as span:
            span.note(request_id=ask.request_id, adapter=adapter, prompt_tokens=len(prompt))
            generation = self._backend.engine.generate(ask.request_id, prompt, adapter, sampling, span.carrier)
            async with aclosing(with_signs(until(deadline_s, generation))) as deltas:
                async for delta in deltas:
                    if delta is None:
                        yield SIGN
                        continue
                    written += delta.tokens
                    piece = _piece(delta, first, len(prompt), written, adapter)
                    if piece.text or piece.finish_reason:
                        first = first and not piece.text
                        yield piece
                    if not first and delta.finish_reason is None:
                        await self._let_deltas_join()

    def _prepare(self, ask: Ask) -> tuple[list[int], str | None, Sampling]:
        voice = voice_of(ask.persona, self._follower.aliases) if ask.persona else BASE_VOICE
        prompt = self._backend.encoder.prompt(voice.speaker, ask.turns, voice.instruction)
        room = self._backend.limits.max_model_len - ask.sampling.max_tokens
        if len(prompt) > room:
            raise PromptTooLong(f"the text has {len(prompt)} tokens; with {ask.sampling.max_tokens} to write, {room} fit")
        own_end = () if ask.sampling.ignore_eos else (voice.stop,)  # a turn's end is to a persona what <eos> is to its base
        return prompt, voice.adapter, replace(ask.sampling, stop=(*own_end, *ask.sampling.stop))

    async def _let_deltas_join(self) -> None:
        """The engine joins what it made while nobody read. A stream costs per piece, so under load fewer are sent."""
        if self._backend.engine.stats().running >= self._config.coalesce_from:
            await asyncio.sleep(self._config.coalesce_ms / 1000)

    async def check_health(self) -> None:
        """Called by Serve; raising has the replica replaced."""
        await self._backend.engine.health()

    async def end_with_the_engine(self) -> None:
        """Ends the process when its engine is dead. Serve sees that at once, and failed health checks only after three of them."""
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                await self.check_health()
            except EngineDead:
                log.error("the engine is dead; this replica ends itself to be replaced")
                os._exit(1)

    async def stats(self) -> EngineStats:
        return self._backend.engine.stats()

    async def close(self) -> None:
        await self._backend.engine.stop()
        self._tracing.close()


async def _follow_nobody(_report: Report) -> Releases:
    raise NotReady("there is no directory")


def _piece(delta: TextChunk, first: bool, prompt_tokens: int, written: int, adapter: str | None) -> Piece:
    """An answer starts after the space that follows the speaker's colon."""
    text = delta.text.lstrip() if first else delta.text
    return Piece(text, delta.finish_reason, prompt_tokens, written, adapter)


class ResponderReplica(Responder):
    """A responder as Serve starts it: the constructor loads the weights, and the versions that are promoted by now."""

    async def __init__(self, config: ResponderConfig, directory: DeploymentHandle[Any], tracing: TracingConfig = NO_TRACES) -> None:  # type: ignore[misc]
        backend = await open_backend(config, tracing)
        follower = Follower(backend, serve.get_replica_context().replica_id.unique_id, directory.sync.remote)
        await follower.step()
        super().__init__(config, backend, follower, tracing)
        self._tasks = [asyncio.create_task(follower.run()), asyncio.create_task(self.end_with_the_engine())]

    async def __del__(self) -> None:  # Serve awaits it before it ends a replica
        for task in getattr(self, "_tasks", ()):
            task.cancel()
        if hasattr(self, "_backend"):
            await self.close()
