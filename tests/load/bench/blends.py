"""Throughput of 32 requests with 32 different blends, compared with 32 requests of single personas.

One graph with the real engine answers both kinds in turn, round after round. Every answer has the
same number of tokens. Before the rounds each blend is used once, so they measure answering and
not building; the times of these first uses are printed too. Writes `.bench/blends.json`.

PYTHONPATH=tests .venv/bin/python -m load.bench.blends
"""

import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated

import httpx
import typer

from load.bench import goals
from load.bench.goals import Goal, from_rounds
from load.harness.graph import console, local_config, running_graph
from models.emotions import LABELS
from serve.config import ServeConfig

RESULT = Path(".bench/blends.json")
TIMEOUT_S = 600
SHARES = ((0.7, 0.3), (0.5, 0.5), (0.3, 0.7))
Body = Mapping[str, object]


def different_blends(count: int) -> list[dict[str, float]]:
    """Return the first `count` blends of two personas, no two alike."""
    pairs = combinations(LABELS, 2)
    blends = [
        {first.value: one, second.value: other} for first, second in pairs for one, other in SHARES
    ]
    if count > len(blends):
        raise ValueError(f"there are {len(blends)} different blends, not {count}")
    return blends[:count]


def config_for(requests: int) -> ServeConfig:
    """Return the configuration of `make serve` with a slot for every blend."""
    config = local_config()
    blends = config.responder.blends.model_copy(update={"resident": requests})
    responder = config.responder.model_copy(update={"blends": blends})
    return config.model_copy(update={"responder": responder})


def bodies(requests: int, blended: bool, tokens: int, seed: int) -> list[Body]:
    """Return the bodies of one batch: different messages, `tokens` tokens each."""
    return [
        {
            "model": LABELS[number % len(LABELS)].value,
            "messages": [{"role": "user", "content": f"Round {seed}: letter {number} has come."}],
            "max_tokens": tokens,
            "ignore_eos": True,
        }
        | ({"model": "auto", "blend": blend} if blended else {})
        for number, blend in enumerate(different_blends(requests))
    ]


async def send(client: httpx.AsyncClient, body: Body) -> float:
    """Send one request and return the seconds until its answer was complete."""
    started_s = time.perf_counter()
    response = await client.post("/v1/chat/completions", json=body)
    response.raise_for_status()
    return time.perf_counter() - started_s


async def tokens_per_s(client: httpx.AsyncClient, batch: Sequence[Body], tokens: int) -> float:
    """Send a batch at once and return its tokens per second, from start to the last end."""
    started_s = time.perf_counter()
    await asyncio.gather(*(send(client, body) for body in batch))
    return len(batch) * tokens / (time.perf_counter() - started_s)


async def measure(url: str, requests: int, rounds: int, tokens: int) -> list[Goal]:
    """Measure first uses one after the other, then both kinds in turn."""
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S) as client:
        singles = [await send(client, body) for body in bodies(requests, False, 1, 0)]
        first_uses = [await send(client, body) for body in bodies(requests, True, 1, 0)]
        again = [await send(client, body) for body in bodies(requests, True, 1, 1)]
        found: dict[bool, list[float]] = {False: [], True: []}
        for seed in range(rounds):
            for blended in (False, True) if seed % 2 else (True, False):
                batch = bodies(requests, blended, tokens, seed)
                found[blended].append(await tokens_per_s(client, batch, tokens))
                console.print(f"round {seed + 1}, blends {blended}: {found[blended][-1]:.1f} tok/s")
    ratios = [mix / single for mix, single in zip(found[True], found[False], strict=True)]
    added_ms = [1000 * (first - later) for first, later in zip(first_uses, again, strict=True)]
    return [
        from_rounds(f"{requests} different blends / {requests} singles", ratios, "x", 0.9),
        from_rounds("singles", found[False], "tok/s"),
        from_rounds("blends", found[True], "tok/s"),
        from_rounds("one token of a single, median", [statistics.median(singles) * 1000], "ms"),
        from_rounds("first use of a blend - a later one", added_ms, "ms", 100, at_most=True),
    ]


def main(
    requests: Annotated[int, typer.Option(min=2, help="requests at once")] = 32,
    rounds: Annotated[int, typer.Option(min=1, help="rounds of both kinds in turn")] = 5,
    tokens: Annotated[int, typer.Option(min=2, help="tokens of an answer")] = 32,
) -> None:
    """Compare batches of different blends with batches of single personas."""
    with running_graph(config_for(requests)) as graph:
        found = asyncio.run(measure(graph.url, requests, rounds, tokens))
    goals.write(found, RESULT)
    console.print(goals.build_table(found, f"blends, {rounds} rounds"))


if __name__ == "__main__":
    typer.run(main)
