"""Deterministic engine without weights, for tests and for a first look at the API.

It keeps the contract of `Engine`. The answer names its adapter first and last, one word a token,
so that a test can see which adapter reached the engine and that it did not change on the way. An
adapter must stay resident until the answer ends.
"""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncGenerator, Sequence
from itertools import cycle, islice

from models.manifest import Adapter
from models.prompt import Turn
from serve.engine.protocol import (
    BlendParts,
    EngineStats,
    FinishReason,
    Sampling,
    TextChunk,
    TokenLogprob,
)
from serve.errors import EngineError
from serve.telemetry.tracing import Carrier

RANK = 4  # of its adapters, which have no tensors
SENTENCE = "I hear you, and I am right here with it, every word of it, all the way to the end"


def script(adapter: str | None, candidate: int = 0) -> str:
    """Return a whole answer. Each of its words is a token.

    In a candidate after the first, its number stands for the first word of the sentence.
    """
    sentence = SENTENCE.replace("I", f"#{candidate}", 1) if candidate else SENTENCE
    return f"[{adapter or 'base'}] {sentence} [{adapter or 'base'}]"


class ScriptedEncoder:
    """Prompt encoder without a tokenizer: one token id per word. The engine reads none of them."""

    def prompt(
        self, speaker: str, turns: Sequence[Turn], instruction: str | None = None
    ) -> list[int]:
        """Return an id for each word of the turns and for the speaker."""
        words = [word for turn in turns for word in turn.text.split()]
        hashes = [hashlib.sha256(word.encode()).digest() for word in [*words, speaker]]
        return [int.from_bytes(digest[:2]) for digest in hashes]

    def fewest_tokens(self, turns: Sequence[Turn]) -> int:
        """Return 0: a word may have any length."""
        return 0


class ScriptedEngine:
    """Engine whose tokens become due on a fixed schedule, whether anyone reads them or not."""

    def __init__(
        self,
        resident: tuple[str, ...] = (),
        token_s: float = 0.005,
        slots: int = 32,
        token_s_per_running: float = 0,
        poison: str | None = None,
    ) -> None:
        """Set the schedule.

        Args:
            resident: versioned names of the adapters that are resident at the start.
            token_s: time between two tokens of one answer.
            slots: answers that are written at once; the others wait.
            token_s_per_running: added to `token_s` for each answer that is being written.
            poison: a request with this stop string kills the process, like a crash.
        """
        self._token_s = token_s
        self._token_s_per_running = token_s_per_running
        self._poison = poison
        self._slots = asyncio.Semaphore(slots)
        self._adapters: set[str] = set(resident)
        self._blends: set[str] = set()
        self._running = 0
        self._writing = 0

    async def start(self) -> None:
        """Do nothing."""
        return

    async def generate(
        self,
        request_id: str,
        prompt: list[int],
        adapter: str | None,
        sampling: Sampling,
        trace: Carrier | None = None,
    ) -> AsyncGenerator[TextChunk]:
        """Yield the words that are due, joined, or whole candidates; see `Engine.generate`."""
        if self._poison in sampling.stop:
            os.kill(os.getpid(), signal.SIGKILL)
        self._check_resident(adapter)
        self._running += 1
        try:
            async with self._slots:
                self._writing += 1
                try:
                    chunks = self._candidates if sampling.n > 1 else self._words
                    async for chunk in chunks(adapter, sampling):
                        yield chunk
                finally:
                    self._writing -= 1
        finally:
            self._running -= 1

    async def _words(self, adapter: str | None, sampling: Sampling) -> AsyncGenerator[TextChunk]:
        words, reason = _words_of(script(adapter).split(), sampling)
        async for start, end in self._due(len(words)):
            self._check_resident(adapter)
            finish = reason if end == len(words) else None
            now = words[start:end]
            yield TextChunk("".join(now), end - start, finish, _logprobs(now, sampling.logprobs))

    async def _candidates(
        self, adapter: str | None, sampling: Sampling
    ) -> AsyncGenerator[TextChunk]:
        """Yield whole answers in the time of the longest."""
        scripts = [script(adapter, number).split() for number in range(sampling.n)]
        answers = [_words_of(one, sampling) for one in scripts]
        async for _ in self._due(max(len(words) for words, _ in answers)):
            self._check_resident(adapter)
        for words, reason in answers:
            logprobs = _logprobs(words, sampling.logprobs)
            yield TextChunk("".join(words), len(words), reason, logprobs)

    async def _due(self, count: int) -> AsyncGenerator[tuple[int, int]]:
        """Yield (start, end) of the words that have become due since the last time."""
        clock_s = asyncio.get_running_loop().time
        due_s = clock_s() + self._interval_s()
        start = 0
        while start < count:
            await asyncio.sleep(max(due_s - clock_s(), 0))
            now_s = clock_s()
            end = start + 1
            due_s += self._interval_s()
            while end < count and due_s <= now_s:
                end += 1
                due_s += self._interval_s()
            yield start, end
            start = end

    def _interval_s(self) -> float:
        return self._token_s + self._token_s_per_running * self._writing

    def _check_resident(self, adapter: str | None) -> None:
        if adapter is not None and adapter not in self._adapters | self._blends:
            raise EngineError(f"adapter {adapter} is not resident")

    async def next_token_logprobs(self, prompt: list[int], adapter: str | None) -> dict[int, float]:
        """Return values that differ with and without an adapter."""
        return {0: 0.0 if adapter is None else -1.0}

    async def load(self, adapter: Adapter) -> None:
        """Make an adapter resident."""
        self._adapters.add(adapter.manifest.versioned_name)

    def check_blend(self, parts: BlendParts) -> None:
        """Do nothing: nothing limits the ranks."""

    async def load_blend(self, name: str, parts: BlendParts) -> None:
        """Make a blend resident. Raises EngineError if a part is not."""
        for part, _ in parts:
            self._check_resident(part)
        self._blends.add(name)

    async def unload(self, versioned_name: str) -> None:
        """Free the slot of an adapter or blend."""
        self._adapters.discard(versioned_name)
        self._blends.discard(versioned_name)

    async def health(self) -> None:
        """Do nothing: this engine cannot fail."""
        return

    def stats(self) -> EngineStats:
        """Return the current load."""
        return EngineStats(
            self._running, tuple(sorted(self._adapters)), tuple(sorted(self._blends))
        )

    @property
    def operators(self) -> dict[str, str]:
        """Return nothing: there are no operators."""
        return {}

    async def stop(self) -> None:
        """Do nothing."""
        return


def _words_of(script_words: list[str], sampling: Sampling) -> tuple[list[str], FinishReason]:
    """Return the words of an answer and its finish reason. A longer answer starts again."""
    at_least = max(len(script_words), sampling.min_tokens)
    length = sampling.max_tokens if sampling.ignore_eos else at_least
    words = [f" {word}" for word in islice(cycle(script_words), min(length, sampling.max_tokens))]
    text = "".join(words)
    earliest = len("".join(words[: sampling.min_tokens]))
    ends = [at for stop in sampling.stop if (at := text.find(stop, earliest)) >= 0]
    if ends:
        return _cut(words, min(ends)), "stop"
    is_cut = sampling.ignore_eos or length > sampling.max_tokens
    return words, "length" if is_cut else "stop"


def _logprobs(words: list[str], top: int | None) -> tuple[TokenLogprob, ...]:
    """Return log-probabilities that depend on the words alone. The word itself is the likeliest."""
    if top is None:
        return ()
    return tuple(_logprob(word, top) for word in words)


def _logprob(word: str, top: int) -> TokenLogprob:
    logprob = -(1 + hashlib.sha256(word.encode()).digest()[0]) / 256  # above -1
    others = [f" {other}" for other in dict.fromkeys(SENTENCE.split()) if f" {other}" != word]
    likeliest = [(word, logprob), *((other, -2.0 - i) for i, other in enumerate(others))]
    return TokenLogprob(word, logprob, tuple(likeliest[:top]))


def _cut(words: list[str], end: int) -> list[str]:
    """Return the words before offset `end` of their text, and at least one (maybe empty) word."""
    kept = list[str]()
    length = 0
    for word in words:
        if length < end:
            kept.append(word[: end - length])
        length += len(word)
    return kept or [""]
