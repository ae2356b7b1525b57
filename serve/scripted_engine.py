"""A deterministic engine without weights: for tests, and for a look at the API. It ships, and keeps the engine's contract.

The answer names the adapter, a word at a time, so that a test can see what reached the engine.
"""

import asyncio
import re
from collections.abc import AsyncGenerator

from models.manifest import Adapter
from serve.engine import Delta, EngineStats, Sampling
from serve.errors import EngineError
from serve.tracing import Carrier

SENTENCE = "I hear you, and I am right here with it, every word of it, all the way to the end ."
WORDS = tuple(re.findall(r"\S+", SENTENCE))


class ScriptedEngine:
    """`token_s` is the time that a token takes; `places` answers are written at once, and the others wait, as in the real engine."""

    def __init__(self, resident: tuple[str, ...] = (), token_s: float = 0.005, places: int = 32) -> None:
        self._token_s, self._places = token_s, asyncio.Semaphore(places)
        self._adapters: set[str] = set(resident)
        self._running = 0

    async def start(self) -> None:
        return

    async def generate(
        self, request_id: str, prompt: list[int], adapter: str | None, sampling: Sampling, trace: Carrier | None = None
    ) -> AsyncGenerator[Delta]:
        if adapter is not None and adapter not in self._adapters:
            raise EngineError(f"no adapter {adapter} is resident")
        words = [f"[{adapter or 'base'}]", *WORDS]
        self._running += 1
        try:
            async with self._places:
                for number, word in enumerate(words[: sampling.max_tokens]):
                    await asyncio.sleep(self._token_s)
                    last = number + 1 == min(len(words), sampling.max_tokens)
                    reason = None if not last else "stop" if len(words) <= sampling.max_tokens else "length"
                    yield Delta(f" {word}", 1, reason)  # type: ignore[arg-type]
        finally:
            self._running -= 1

    async def next_token_logprobs(self, prompt: list[int], adapter: str | None) -> dict[int, float]:
        return {0: 0.0 if adapter is None else -1.0}

    async def load(self, adapter: Adapter) -> None:
        self._adapters.add(adapter.manifest.versioned_name)

    async def unload(self, versioned_name: str) -> None:
        self._adapters.discard(versioned_name)

    async def health(self) -> None:
        return

    def stats(self) -> EngineStats:
        return EngineStats(running=self._running, adapters=tuple(sorted(self._adapters)))

    async def stop(self) -> None:
        return
