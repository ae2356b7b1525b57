"""Cost of six adapters on a CPU, compared with the same engine without adapters.

All servers of `lora_servers.py` start with the same weights and cores. Then they are measured in
turn with the same prompts, repeat after repeat, while the others are held by SIGSTOP. Prints one
table and writes `.bench/lora.json`. It takes under 10 minutes on two cores, most of it to start.

PYTHONPATH=tests .venv/bin/python -m load.bench.lora
"""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Annotated, NamedTuple

import httpx
import typer
from rich.console import Console

from load.bench import goals
from load.bench.goals import Goal
from load.bench.lora_goals import compare_arms
from load.bench.lora_servers import (
    ARMS,
    BENCH,
    REQUESTS,
    Server,
    running_server,
    wait_ready,
)
from load.bench.memory_bandwidth import read_bytes_per_s
from models.generation import DEFAULT_TEMPERATURE, DEFAULT_TOP_P
from models.weights.cache import materialize
from serve.config import ResponderConfig

RESULT = BENCH / "lora.json"
ALL_ARMS = ",".join(arm.name for arm in ARMS)
DECODE_PROMPT = 8  # tokens of a prompt when decoding is measured
PREFILL_PROMPT = 200
BOS = 2
MIN_TOKEN_ID = 1000  # ordinary tokens of Gemma's vocabulary
MAX_TOKEN_ID = 200_000
TIMEOUT_S = 600
GREEDY: dict[str, object] = {"temperature": 0}
SAMPLED: dict[str, object] = {"temperature": DEFAULT_TEMPERATURE, "top_p": DEFAULT_TOP_P}
console = Console(stderr=True)


class Lengths(NamedTuple):
    """Tokens of each request of a batch."""

    prompt: int
    reply: int


def batch_s(
    server: Server,
    models: Sequence[str],
    lengths: Lengths,
    seed: int,
    sampling: dict[str, object] = GREEDY,
) -> float:
    """Measure the seconds until all requests, sent at once, are complete.

    Args:
        server: The server.
        models: Model of each request.
        lengths: Tokens of each prompt and each reply.
        seed: Seed of the prompts, which are random tokens.
        sampling: Sampling parameters.
    """

    async def send(client: httpx.AsyncClient, index: int, model: str) -> None:
        rng = random.Random(f"{seed} {index}")
        ids = [rng.randrange(MIN_TOKEN_ID, MAX_TOKEN_ID) for _ in range(lengths.prompt - 1)]
        body = {
            "model": model,
            "prompt": [BOS, *ids],
            "max_tokens": lengths.reply,
            "ignore_eos": True,
            **sampling,
        }
        response = await client.post(f"{server.url}/v1/completions", json=body)
        response.raise_for_status()

    async def send_all() -> float:
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            started_s = time.perf_counter()
            await asyncio.gather(*(send(client, *each) for each in enumerate(models)))
            return time.perf_counter() - started_s

    return asyncio.run(send_all())


def decode_tokens_per_s(
    server: Server, models: Sequence[str], seed: int, sampling: dict[str, object] = GREEDY
) -> float:
    """Measure the tokens per second after the first; the time for the prompts is subtracted."""
    tokens = server.arm.reply_tokens
    first_s = batch_s(server, models, Lengths(DECODE_PROMPT, 1), seed, sampling)
    all_s = batch_s(server, models, Lengths(DECODE_PROMPT, tokens), seed, sampling)
    return len(models) * (tokens - 1) / (all_s - first_s)


def prefill_tokens_per_s(server: Server, seed: int) -> float:
    """Measure the prompt tokens per second."""
    count = server.arm.prefill_prompts
    took_s = batch_s(server, server.arm.models(count), Lengths(PREFILL_PROMPT, 1), seed)
    return count * PREFILL_PROMPT / took_s


def take_sample(server: Server, seed: int) -> None:
    """Add the tokens per second of each kind of measurement to the arm's samples."""
    arm = server.arm
    models = arm.models(REQUESTS)
    sample = {
        "decode": decode_tokens_per_s(server, models, seed),
        "prefill": prefill_tokens_per_s(server, seed),
        "single": decode_tokens_per_s(server, arm.models(1), seed),
    }
    if arm.name in {"ours", "untouched"}:
        sample["sampled"] = decode_tokens_per_s(server, models, seed, SAMPLED)
    if arm.name == "ours":
        sample["without adapter"] = decode_tokens_per_s(server, ["base"] * REQUESTS, seed)
    for name, value in sample.items():
        arm.samples.setdefault(name, []).append(value)
    values = ", ".join(f"{name} {value:.1f}" for name, value in sample.items())
    console.print(f"{seed} {arm.name} {values}")


def warm_up(server: Server) -> None:
    """Load the adapters and compile the kernels for each shape, then stop the arm."""
    wait_ready(server)
    with server.awake():
        batch_s(server, server.arm.models(REQUESTS), Lengths(DECODE_PROMPT, 3), 0)
        batch_s(server, server.arm.models(2), Lengths(PREFILL_PROMPT, 2), 0)


def measure_adapters(repeats: int, names: Sequence[str]) -> list[Goal]:
    """Measure the named arms in turn.

    All servers start at the same time, since a start is mostly work on one core.
    """
    BENCH.mkdir(exist_ok=True)
    weights = materialize(ResponderConfig().base, console.print).folder
    bandwidths = []
    with ExitStack() as stack:
        arms = [arm for arm in ARMS if arm.name in names]
        servers = [stack.enter_context(running_server(arm, weights)) for arm in arms]
        for server in servers:
            warm_up(server)
            console.print(f"{server.arm.name} is ready")
        for repeat in range(1, repeats + 1):
            bandwidths.append(read_bytes_per_s())
            for server in servers:
                with server.awake():
                    take_sample(server, repeat)
    return compare_arms({arm.name: arm for arm in arms}, bandwidths, weights)


def main(
    repeats: Annotated[int, typer.Option(min=1, help="repeats of each arm")] = 3,
    only: Annotated[str, typer.Option(help="arms, separated by commas")] = ALL_ARMS,
) -> None:
    """Measure the cost of six adapters."""
    found = measure_adapters(repeats, only.split(","))
    goals.write(found, RESULT)
    Console().print(goals.build_table(found, f"adapters on a CPU, {repeats} repeats"))


if __name__ == "__main__":
    typer.run(main)
