"""Candidates: several answers written in one request of the engine, of which the critic picks one.

message -> n answers (engine) -> n logits (critic, one call of the detector) -> the best, in chunks

A critic that fails or is late costs its opinion and no answer. Under load there are fewer
candidates, down to one, before anyone is rejected.
"""

import asyncio
import logging
import math
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import dataclass, replace

from models.prompt import Turn
from serve.engine.protocol import Sampling, TextChunk
from serve.errors import Overloaded
from serve.pipeline.admission import Gate
from serve.pipeline.answer import Answer, Candidates
from serve.responder.generator import Generation, Generator
from serve.responder.protocol import GenerationRequest
from serve.telemetry.metrics import BUCKETS_MS, counter, histogram
from serve.telemetry.tracing import Carrier

log = logging.getLogger(__name__)
Score = Callable[[tuple[Turn, ...], Sequence[str], Carrier], Awaitable[list[float]]]
CRITIC_TIMEOUT_S = 2.0
DEADLINE_SHARE = 0.5  # of the time that is left; the rest is for sending the answer
# Logits taken from an answer that was cut at max_tokens or is empty: odds of 1 to 150, so that it
# is picked only where no whole answer makes any sense.
UNFINISHED_PENALTY = 5.0
FREE_SHARE = 2  # candidates beyond the first take at most a half of the free slots
CHUNK = re.compile(r"(?:\s*\S+){1,4}")  # a picked answer is sent in chunks of up to four words
COUNT_BUCKETS: list[float] = [1, 2, 3, 4, 6, 8, 12, 16]
SCORE_BUCKETS: list[float] = [0.01, 0.05, *(tenth / 10 for tenth in range(1, 10)), 0.95, 0.99, 1]


class CandidateSlots:
    """Slots of the engine's batch that candidates beyond the first of each answer take."""

    def __init__(self, most: int, slots: int, gate: Gate) -> None:
        """Allow up to `most` candidates; `gate` knows how many messages are admitted."""
        self.most = most
        self._slots = slots
        self._gate = gate
        self._taken = 0

    def number(self) -> int:
        """Return how many candidates the next answer may have. Its own slot is in the gate."""
        free = self._slots - self._gate.admitted - self._taken
        return min(self.most, 1 + max(free, 0) // FREE_SHARE)

    @contextmanager
    def take(self, number: int) -> Iterator[None]:
        """Take the slots of that many candidates until the block ends."""
        self._taken += number - 1
        try:
            yield
        finally:
            self._taken -= number - 1


class Picker:
    """Writes candidates, asks the critic, and counts what came of it."""

    def __init__(self, slots: CandidateSlots, generator: Generator, score: Score) -> None:
        """Generate with `generator` and pick by `score`, which returns a logit of each answer."""
        self._slots = slots
        self._generator = generator
        self._score = score
        self._numbers = histogram(
            "fye_candidates", "Answers written for a message", COUNT_BUCKETS, ("persona",)
        )
        self._scores = histogram(
            "fye_critic_score",
            "The critic's score of the picked answer",
            SCORE_BUCKETS,
            ("persona",),
        )
        self._critic_ms = histogram("fye_critic_ms", "One call of the critic", BUCKETS_MS)
        self._fallbacks = counter(
            "fye_candidate_fallbacks", "Answers with fewer candidates or unscored", ("reason",)
        )

    async def generate(self, answer: Answer, request: GenerationRequest) -> Generation:
        """Start a text as `Generator.generate`, or candidates where the message allows them."""
        number = self._choose_count(answer, request.sampling)
        if number == 1:
            return await self._generator.generate(request)
        request_for_n = replace(request, sampling=replace(request.sampling, n=number))
        with ExitStack() as kept:
            kept.enter_context(self._slots.take(number))
            generation = await self._generator.generate(request_for_n)
            slots = kept.pop_all()
        generation.held.callback(slots.close)
        return replace(generation, chunks=self._chunks(answer, generation.chunks, slots))

    def _choose_count(self, answer: Answer, sampling: Sampling) -> int:
        if not _allows(answer, sampling):
            return 1
        number = self._slots.number()
        self._numbers.observe(number, tags=_persona(answer))
        if number < self._slots.most:
            self._fallbacks.inc(tags={"reason": "load"})
        return number

    async def _chunks(
        self, answer: Answer, candidates: AsyncGenerator[TextChunk], slots: ExitStack
    ) -> AsyncGenerator[TextChunk]:
        with slots:
            async with aclosing(candidates):
                found = [candidate async for candidate in candidates]
        for chunk in _chunks_of(await self._pick(answer, found)):
            yield chunk

    async def _pick(self, answer: Answer, found: Sequence[TextChunk]) -> TextChunk:
        """Return the best candidate; without the critic the first one that ended by itself."""
        logits = await self._logits(answer, found)
        ranks = [
            logit - UNFINISHED_PENALTY * (not _ended(one))
            for logit, one in zip(logits or [0.0] * len(found), found, strict=True)
        ]
        best = ranks.index(max(ranks))
        score = round(_probability(logits[best]), 4) if logits else None
        if score is not None:
            self._scores.observe(score, tags=_persona(answer))
        discarded = sum(one.tokens for one in found) - found[best].tokens
        answer.candidates = Candidates(len(found), score, discarded)
        return found[best]

    async def _logits(self, answer: Answer, found: Sequence[TextChunk]) -> list[float] | None:
        """Return the critic's opinions, or None if it fails or is late."""
        message = answer.message
        began_s = time.monotonic()
        left_s = max(message.context.deadline_s - began_s, 0)
        texts = [one.text for one in found]
        try:
            async with asyncio.timeout(min(CRITIC_TIMEOUT_S, left_s * DEADLINE_SHARE)):
                logits = await self._score(message.turns, texts, answer.trace)
        except Exception as error:  # noqa: BLE001 (whatever fails, an answer is there)
            log.warning("the critic picks no answer: %s", type(error).__name__)
            self._fallbacks.inc(tags={"reason": _reason(error)})
            return None
        self._critic_ms.observe((time.monotonic() - began_s) * 1000)
        return logits


@dataclass(frozen=True, slots=True)
class PickingGenerator:
    """Generator of one answer, which a picker writes."""

    picker: Picker
    answer: Answer

    async def generate(self, request: GenerationRequest) -> Generation:
        """Start the text of the answer."""
        return await self.picker.generate(self.answer, request)


def _allows(answer: Answer, sampling: Sampling) -> bool:
    """Return whether a persona answers an ordinary message, and the client measures no model.

    Greedy candidates would be the same. Log-probabilities, `min_tokens` and `ignore_eos` are asked
    for by clients that measure the model, who want its own answer.
    """
    ordinary = answer.persona is not None and answer.safety is None
    measured = sampling.logprobs is not None or sampling.min_tokens > 0 or sampling.ignore_eos
    return ordinary and not measured and sampling.temperature > 0


def _ended(candidate: TextChunk) -> bool:
    return candidate.finish_reason == "stop" and bool(candidate.text.strip())


def _chunks_of(answer: TextChunk) -> Iterator[TextChunk]:
    """Yield an answer in chunks of some words, which share its tokens."""
    texts = CHUNK.findall(answer.text) or [""]
    count = len(texts)
    for number, text in enumerate(texts, 1):
        tokens = answer.tokens * number // count - answer.tokens * (number - 1) // count
        yield TextChunk(text, tokens, answer.finish_reason if number == count else None)


def _probability(logit: float) -> float:
    return 1 / (1 + math.exp(-min(max(logit, -50.0), 50.0)))


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "critic_late"
    return "critic_full" if isinstance(error, Overloaded) else "critic_failed"


def _persona(answer: Answer) -> dict[str, str]:
    return {"persona": answer.persona or ""}
