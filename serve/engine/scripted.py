"""A deterministic engine without weights: for tests, and for a look at the API. It ships, and keeps the engine's contract.

The answer names the adapter first and last, a word at a time, so that a test can see what reached the engine and that it has not changed
on the way. An adapter must be resident for as long as that takes.
"""

import asyncio
from collections.abc import AsyncGenerator
from itertools import cycle, islice

from models.manifest import Adapter
from serve.engine.protocol import EngineStats, FinishReason, Sampling, TextChunk
from serve.errors import EngineError
from serve.tracing import Carrier

SENTENCE = "I hear you, and I am right here with it, every word of it, all the way to the end"


def script(adapter: str | None) -> str:
    """A whole answer, each of whose words is a token."""
    return f"[{adapter or 'base'}] {SENTENCE} [{adapter or 'base'}]"


TOKENS = len(script(None).split())


class ScriptedEngine:
    """A token takes `token_s`, and `beside_s` more for each answer that is written; `places` are written at once, and the others wait."""

    def __init__(self, resident: tuple[str, ...] = (), token_s: float = 0.005, places: int = 32, beside_s: float = 0) -> None:
        self._token_s, self._beside_s, self._places = token_s, beside_s, asyncio.Semaphore(places)
        self._adapters: set[str] = set(resident)
        self._running = self._written = 0

    async def start(self) -> None:
        return

    async def generate(
        self, request_id: str, prompt: list[int], adapter: str | None, sampling: Sampling, trace: Carrier | None = None
    ) -> AsyncGenerator[TextChunk]:
        self._check_resident(adapter)
        words, reason = _script(script(adapter).split(), sampling)
        self._running += 1
        try:
            async with self._places:
                self._written += 1
                try:
                    for number, word in enumerate(words, 1):
                        await asyncio.sleep(self._token_s + self._beside_s * self._written)
                        self._check_resident(adapter)
                        yield TextChunk(word, 1, reason if number == len(words) else None)
                finally:
                    self._written -= 1
        finally:
            self._running -= 1

    def _check_resident(self, adapter: str | None) -> None:
        if adapter is not None and adapter not in self._adapters:
            raise EngineError(f"no adapter {adapter} is resident")

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


def _script(once: list[str], sampling: Sampling) -> tuple[list[str], FinishReason]:
    """The words of an answer, one a token, and why it ends after the last. One that is to be longer begins again."""
    whole = sampling.max_tokens if sampling.ignore_eos else max(len(once), sampling.min_tokens)
    words = [f" {word}" for word in islice(cycle(once), min(whole, sampling.max_tokens))]
    text, earliest = "".join(words), len("".join(words[: sampling.min_tokens]))
    end = min((at for stop in sampling.stop if (at := text.find(stop, earliest)) >= 0), default=None)
    if end is not None:
        return _cut(words, end), "stop"
    return words, "length" if sampling.ignore_eos or whole > sampling.max_tokens else "stop"


def _cut(words: list[str], end: int) -> list[str]:
    """The words before a place in their text, which may be inside of one. There is always a word, to say that it was the last."""
    kept, length = list[str](), 0
    for word in words:
        if length < end:
            kept.append(word[: end - length])
        length += len(word)
    return kept or [""]
