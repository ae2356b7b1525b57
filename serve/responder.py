"""The responder stage: a conversation and a persona in, pieces of the answer out. One engine batch mixes all personas.

It does not know of detection or HTTP.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from models.prompt import Turn
from serve.backend import Backend, open_backend
from serve.config import ResponderConfig
from serve.deadline import until
from serve.directory import Report
from serve.engine import Delta, EngineStats, Sampling
from serve.errors import NotReady, PromptTooLong
from serve.following import Follower
from serve.policy import BASE_VOICE, voice_of
from serve.releases import Releases


@dataclass(frozen=True, slots=True)
class Ask:
    """One answer to generate. `persona` None is the bare base model. `timeout_s` is what is left: clocks of machines differ."""

    request_id: str
    persona: str | None
    turns: tuple[Turn, ...]
    sampling: Sampling
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Piece:
    """What travels back: text, and with the last piece the answer's figures and the version of the adapter that wrote it."""

    text: str
    finish_reason: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    adapter: str | None = None


class Responder:
    """Turns asks into pieces, for any number of them at once."""

    def __init__(self, config: ResponderConfig, backend: Backend, follower: Follower | None = None) -> None:
        self._config, self._backend = config, backend
        self._follower = follower or Follower(backend, "alone", _follow_nobody)

    async def respond(self, ask: Ask) -> AsyncGenerator[Piece]:
        """The answer as it is generated. The first piece is passed on at once; under load later ones are joined.

        Raises InvalidRequest, PromptTooLong, DeadlineExceeded or EngineError. Closing the generator ends the generation.
        """
        deadline_s = time.monotonic() + ask.timeout_s
        prompt, adapter, sampling = self._prepare(ask)
        written, first = 0, True
        generation = self._backend.engine.generate(ask.request_id, prompt, adapter, sampling)
        with self._follower.using(adapter):
            async with aclosing(until(deadline_s, generation)) as deltas:
                async for delta in deltas:
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
        return prompt, voice.adapter, replace(ask.sampling, stop=(voice.stop, *ask.sampling.stop))

    async def _let_deltas_join(self) -> None:
        """The engine joins what it made while nobody read. A stream costs per piece, so under load fewer are sent."""
        if self._backend.engine.stats().running >= self._config.coalesce_from:
            await asyncio.sleep(self._config.coalesce_ms / 1000)

    async def check_health(self) -> None:
        """Called by Serve; raising has the replica replaced."""
        await self._backend.engine.health()

    async def stats(self) -> EngineStats:
        return self._backend.engine.stats()

    async def close(self) -> None:
        await self._backend.engine.stop()


async def _follow_nobody(_report: Report) -> Releases:
    raise NotReady("there is no directory")


def _piece(delta: Delta, first: bool, prompt_tokens: int, written: int, adapter: str | None) -> Piece:
    """An answer starts after the space that follows the speaker's colon."""
    text = delta.text.lstrip() if first else delta.text
    return Piece(text, delta.finish_reason, prompt_tokens, written, adapter)


class ResponderReplica(Responder):
    """A responder as Serve starts it: the constructor loads the weights, and the versions that are promoted by now."""

    async def __init__(self, config: ResponderConfig, directory: DeploymentHandle[Any]) -> None:  # type: ignore[misc]
        backend = await open_backend(config)
        follower = Follower(backend, serve.get_replica_context().replica_id.unique_id, directory.sync.remote)
        await follower.step()
        super().__init__(config, backend, follower)
        self._following = asyncio.create_task(follower.run())

    async def __del__(self) -> None:  # Serve awaits it before it ends a replica
        if hasattr(self, "_following"):
            self._following.cancel()
            await self.close()
