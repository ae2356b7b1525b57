"""How the real engine grows, asked directly: with adapters, with the prompt, with answers at once."""

import asyncio
import itertools
import os
import random
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

from pydantic import BaseModel

from load.harness.outcomes import percentile
from load.harness.process_stats import by_kind
from load.harness.workload import varied
from models.manifest import Adapter
from models.prompt import PromptEncoder, Turn
from models.weights.cache import materialize
from serve.capacity import derive_limits
from serve.config import ResponderConfig
from serve.engine.protocol import Sampling
from serve.engine.vllm_engine import VllmEngine
from serve.adapters.validation import find_adapters

TOKENS = 24
AT_ONCE = 16  # while the number of adapters grows
CONCURRENCIES = (1, 2, 4, 8, 16, 32)
PROMPT_LENGTHS = (32, 64, 128, 256, 512)
EARLIER_TOKENS, TURN_TOKENS = 120, 30  # of a conversation: two messages and their answers, and the next message
BOS = 2
LEAST_ID, GREATEST_ID = 1000, 200_000  # ordinary tokens of Gemma's vocabulary


class Size(BaseModel):
    """What was measured at one size. Times are medians of the answers; `tokens_per_s` is of all of them together."""

    size: float
    tokens_per_s: float
    ttft_ms: float
    tpot_ms: float
    memory_mib: float


@dataclass(frozen=True)
class Open:
    """A running engine, its adapters' names, and what makes prompts."""

    engine: VllmEngine
    names: tuple[str, ...]
    encoder: PromptEncoder
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(100))


@asynccontextmanager
async def opened(config: ResponderConfig, adapters: int) -> AsyncIterator[Open]:
    """An engine with as many adapters as asked for: the shipped ones over and over, under other names. Limits follow, as in the graph."""
    base = materialize(config.base)
    assert config.adapters
    shipped = find_adapters(config.adapters, base)
    copies = [_renamed(adapter, number) for number, adapter in enumerate(itertools.islice(itertools.cycle(shipped), adapters))]
    encoder = PromptEncoder(base.folder / "tokenizer.json")
    engine = VllmEngine(base.folder, encoder.tokenizer, config.hardware, derive_limits(config, [copy.manifest for copy in copies]))
    await engine.start()
    try:
        for copy in copies:
            await engine.load(copy)
        yield Open(engine, tuple(copy.manifest.versioned_name for copy in copies), encoder)
    finally:
        await engine.stop()


def _renamed(adapter: Adapter, number: int) -> Adapter:
    return Adapter(adapter.manifest.model_copy(update={"content_hash": f"{number:064x}"[::-1]}), adapter.folder)


async def at_once(here: Open, answers: int, size: float) -> Size:
    """So many ordinary prompts at once, each with another adapter; a first round of two tokens warms up. None was there before."""
    names = [here.names[number % len(here.names)] for number in random.Random(2).sample(range(max(answers, len(here.names))), answers)]
    for tokens in (2, TOKENS):
        prompts = [_unseen(here, asked.text) for asked in itertools.islice(varied(1), answers)]
        began_s = time.monotonic()
        timed = await asyncio.gather(*(_answer(here.engine, prompt, name, tokens) for prompt, name in zip(prompts, names, strict=True)))
        took_s = time.monotonic() - began_s
    return _size(size, timed, took_s)


def _unseen(here: Open, text: str) -> list[int]:
    """A number stands first, so that nothing is found in the prefix cache."""
    return here.encoder.prompt("Joy", [Turn("user", f"{next(here.numbers)}. {text}")])


async def with_prompt(here: Open, tokens: int) -> Size:
    """One prompt after the other, of random tokens, so that nothing is found in the prefix cache."""
    dice = random.Random(tokens)
    prompts = [_random(dice, tokens) for _ in here.names[:3]]
    began_s = time.monotonic()
    timed = [await _answer(here.engine, prompt, name, 4) for prompt, name in zip(prompts, here.names, strict=False)]
    return _size(tokens, timed, time.monotonic() - began_s)


async def next_turn_ms(here: Open) -> float:
    """TTFT of a turn of a conversation, of random tokens, whose earlier turns have been asked before."""
    earlier = _random(random.Random(next(here.numbers)), EARLIER_TOKENS)
    await _answer(here.engine, earlier, here.names[0], 1)
    timed = await _answer(here.engine, [*earlier, *_random(random.Random(0), TURN_TOKENS)], here.names[0], 1)
    return timed[0][0] * 1000


def _random(dice: random.Random, tokens: int) -> list[int]:
    return [BOS, *(dice.randrange(LEAST_ID, GREATEST_ID) for _ in range(tokens - 1))]


async def _answer(engine: VllmEngine, prompt: list[int], name: str, tokens: int) -> list[tuple[float, int]]:
    """When pieces came, since the request began, and how many tokens had come by then."""
    began_s, count, found = time.monotonic(), 0, []
    pieces = engine.generate(f"growth-{random.SystemRandom().getrandbits(64):x}", prompt, name, Sampling(tokens, temperature=0))
    async with aclosing(pieces):
        async for piece in pieces:
            count += piece.tokens
            found.append((time.monotonic() - began_s, count))
    return found


def _size(size: float, timed: Sequence[list[tuple[float, int]]], took_s: float) -> Size:
    each_s = [(one[-1][0] - one[0][0]) / (one[-1][1] - one[0][1]) for one in timed if one[-1][1] > one[0][1]]
    return Size(
        size=size,
        tokens_per_s=sum(one[-1][1] for one in timed) / took_s,
        ttft_ms=percentile([one[0][0] for one in timed], 0.5) * 1000,
        tpot_ms=percentile(each_s, 0.5) * 1000,
        memory_mib=by_kind(os.getpid())["engine"],
    )


def fitted(sizes: Sequence[Size]) -> tuple[float, float]:
    """Milliseconds that a token takes alone, and that each answer beside it adds: a straight line through TPOT over answers at once."""
    slope, least = statistics.linear_regression([size.size for size in sizes], [size.tpot_ms for size in sizes])
    return max(least, 0.0), max(slope, 0.0)
