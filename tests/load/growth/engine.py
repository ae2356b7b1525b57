"""Measurements of the real engine: more adapters, longer prompts, more replies at once."""

import asyncio
import itertools
import os
import random
import statistics
import time
from collections.abc import Sequence
from contextlib import aclosing

from pydantic import BaseModel, Field

from load.growth.running_engine import RunningEngine
from load.harness.outcomes import percentile
from load.harness.process_stats import ENGINE, memory_by_kind
from load.harness.workload import realistic_requests
from models.prompt import Turn
from serve.engine.protocol import Sampling
from serve.engine.vllm_engine import VllmEngine

REPLY_TOKENS = 24
ADAPTER_REPLIES = 16  # at once, while the number of adapters grows
PROMPT_COUNT = 3
PROMPT_REPLY_TOKENS = 4
HISTORY_TOKENS = 120  # of a conversation: two messages and their replies
TURN_TOKENS = 30  # the next message
BOS = 2
MIN_TOKEN_ID = 1000  # ordinary tokens of Gemma's vocabulary
MAX_TOKEN_ID = 200_000

# Chunks of one reply: seconds since the request started, and tokens received by then.
Arrivals = list[tuple[float, int]]


class Measurement(BaseModel):
    """Measurement at one size. Times are medians of the replies."""

    size: float
    tokens_per_s: float = Field(description="of all replies together")
    ttft_ms: float
    tpot_ms: float
    memory_mib: float


async def measure_batch(running: RunningEngine, replies: int, size: float) -> Measurement:
    """Measure this many ordinary prompts at once, each with another adapter.

    A first round of two tokens warms up. No prompt is in the prefix cache.
    """
    choices = range(max(replies, len(running.adapters)))
    numbers = random.Random(2).sample(choices, replies)
    adapters = [running.adapters[number % len(running.adapters)] for number in numbers]
    await _generate_batch(running, adapters, 2)
    started_s = time.monotonic()
    arrivals = await _generate_batch(running, adapters, REPLY_TOKENS)
    return _measurement(size, arrivals, time.monotonic() - started_s)


async def _generate_batch(
    running: RunningEngine, adapters: Sequence[str], max_tokens: int
) -> list[Arrivals]:
    requests = itertools.islice(realistic_requests(1), len(adapters))
    prompts = [_uncached_prompt(running, request.text) for request in requests]
    return await asyncio.gather(
        *(
            _generate(running.engine, prompt, adapter, max_tokens)
            for prompt, adapter in zip(prompts, adapters, strict=True)
        )
    )


def _uncached_prompt(running: RunningEngine, text: str) -> list[int]:
    """Begin with a new number, so that the prefix cache does not contain the prompt."""
    return running.encoder.prompt("Joy", [Turn("user", f"{next(running.numbers)}. {text}")])


async def measure_prompt(running: RunningEngine, tokens: int) -> Measurement:
    """Measure prompts of random tokens, one after the other, none in the prefix cache."""
    rng = random.Random(tokens)
    adapters = running.adapters[:PROMPT_COUNT]
    prompts = [_random_tokens(rng, tokens) for _ in adapters]
    started_s = time.monotonic()
    arrivals = [
        await _generate(running.engine, prompt, adapter, PROMPT_REPLY_TOKENS)
        for prompt, adapter in zip(prompts, adapters, strict=True)
    ]
    return _measurement(tokens, arrivals, time.monotonic() - started_s)


async def next_turn_ttft_ms(running: RunningEngine) -> float:
    """Measure the TTFT of a turn whose earlier turns are in the prefix cache."""
    adapter = running.adapters[0]
    history = _random_tokens(random.Random(next(running.numbers)), HISTORY_TOKENS)
    await _generate(running.engine, history, adapter, 1)
    prompt = [*history, *_random_tokens(random.Random(0), TURN_TOKENS)]
    arrivals = await _generate(running.engine, prompt, adapter, 1)
    return arrivals[0][0] * 1000


def _random_tokens(rng: random.Random, count: int) -> list[int]:
    return [BOS, *(rng.randrange(MIN_TOKEN_ID, MAX_TOKEN_ID) for _ in range(count - 1))]


async def _generate(
    engine: VllmEngine, prompt: list[int], adapter: str, max_tokens: int
) -> Arrivals:
    request_id = f"growth-{random.SystemRandom().getrandbits(64):x}"
    started_s = time.monotonic()
    tokens = 0
    arrivals = []
    chunks = engine.generate(request_id, prompt, adapter, Sampling(max_tokens, temperature=0))
    async with aclosing(chunks):
        async for chunk in chunks:
            tokens += chunk.tokens
            arrivals.append((time.monotonic() - started_s, tokens))
    return arrivals


def _measurement(size: float, replies: Sequence[Arrivals], took_s: float) -> Measurement:
    tpots_s = [
        (reply[-1][0] - reply[0][0]) / (reply[-1][1] - reply[0][1])
        for reply in replies
        if reply[-1][1] > reply[0][1]
    ]
    return Measurement(
        size=size,
        tokens_per_s=sum(reply[-1][1] for reply in replies) / took_s,
        ttft_ms=percentile([reply[0][0] for reply in replies], 0.5) * 1000,
        tpot_ms=percentile(tpots_s, 0.5) * 1000,
        memory_mib=memory_by_kind(os.getpid()).get(ENGINE, 0.0),
    )


def fit_token_time(measurements: Sequence[Measurement]) -> tuple[float, float]:
    """Fit a straight line through TPOT over replies at once.

    Returns:
        Milliseconds that a token takes alone, and those that each concurrent reply adds.
    """
    slope, intercept = statistics.linear_regression(
        [one.size for one in measurements], [one.tpot_ms for one in measurements]
    )
    return max(intercept, 0.0), max(slope, 0.0)
