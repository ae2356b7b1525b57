"""What six adapters cost on a CPU, against the same engine without any: `PYTHONPATH=tests .venv/bin/python -m load.bench.lora`

All servers of `lora_arms.py` are started, on the same weights and cores, then measured in turn with the same prompts, repeat after repeat,
the others held by SIGSTOP. Prints one table and writes `.bench/lora.json`. Under 10 minutes on two cores, of which starting is most.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx
import typer
from rich.console import Console

from load.bench import goals
from load.bench.goals import Goal, measured
from load.bench.lora_servers import ARMS, BENCH, REQUESTS, Arm, Server, running, wait_ready
from load.bench.memory_bandwidth import bytes_read, read_bytes_per_s, weights_bytes
from models.weights.cache import materialize
from serve.config import ResponderConfig

RESULT = BENCH / "lora.json"
EVERY_ARM = ",".join(arm.name for arm in ARMS)
SHORT, LONG = 8, 200  # tokens of a prompt: for decoding, for prefill
console = Console(stderr=True)

# name: (arm, what it is measured against, measurement, goal)
RATIOS = {
    "six adapters, 32 requests, decode": ("ours", "base", "decode", 0.95),
    "six adapters, 32 requests, prefill": ("ours", "base", "prefill", 0.95),
    "an adapter, one request, decode": ("ours", "base", "single", 0.95),
    "no adapter, 32 requests, decode": ("ours", "base", "bare", 0.95),
    "six adapters, 32 requests, decode, against untouched vLLM": ("ours", "untouched", "decode", 5.0),
    "six adapters, 32 sampled requests, decode, against untouched vLLM": ("ours", "untouched", "sampled", 5.0),
    "six adapters, 32 sampled requests, decode, of greedy": ("ours", "ours", "sampled", None),
    "stock vLLM: six adapters, 32 requests, decode": ("stock", "base", "decode", None),
    "stock vLLM: six adapters, 32 requests, prefill": ("stock", "base", "prefill", None),
    "stock vLLM: an adapter, one request, decode": ("stock", "base", "single", None),
}


GREEDY: dict[str, object] = {"temperature": 0}
AS_SERVED: dict[str, object] = {"temperature": 0.7, "top_p": 0.8}


def batch_s(server: Server, models: Sequence[str], prompt: int, answer: int, seed: int, how: dict[str, object] = GREEDY) -> float:
    """Seconds until all requests, sent at once, have `answer` tokens each."""

    async def ask(client: httpx.AsyncClient, index: int, model: str) -> None:
        dice = random.Random(f"{seed} {index}")
        tokens = [2, *(dice.randrange(1000, 200_000) for _ in range(prompt - 1))]  # <bos>, then any
        body = {"model": model, "prompt": tokens, "max_tokens": answer, "ignore_eos": True, **how}
        reply = await client.post(f"{server.url}/v1/completions", json=body)
        reply.raise_for_status()

    async def ask_all() -> float:
        async with httpx.AsyncClient(timeout=600) as client:
            began_s = time.perf_counter()
            await asyncio.gather(*(ask(client, index, model) for index, model in enumerate(models)))
            return time.perf_counter() - began_s

    return asyncio.run(ask_all())


def decode(server: Server, models: Sequence[str], answer: int, seed: int, how: dict[str, object] = GREEDY) -> float:
    """Tokens a second after the first one: what the prompts take is measured apart and left out."""
    first_s = batch_s(server, models, SHORT, 1, seed, how)
    return len(models) * (answer - 1) / (batch_s(server, models, SHORT, answer, seed, how) - first_s)


def sample(server: Server, seed: int) -> None:
    """Tokens a second of each kind, into the arm's samples."""
    arm = server.arm
    taken = {
        "decode": decode(server, arm.models(REQUESTS), arm.answer, seed),
        "prefill": arm.prompts * LONG / batch_s(server, arm.models(arm.prompts), LONG, 1, seed),
        "single": decode(server, arm.models(1), arm.answer, seed),
    }
    if arm.name in {"ours", "untouched"}:
        taken["sampled"] = decode(server, arm.models(REQUESTS), arm.answer, seed, AS_SERVED)
    if arm.name == "ours":
        taken["bare"] = decode(server, ["base"] * REQUESTS, arm.answer, seed)
    for name, value in taken.items():
        arm.samples.setdefault(name, []).append(value)
    console.print(f"{seed} {arm.name} " + ", ".join(f"{name} {value:.1f}" for name, value in taken.items()))


def goals_of(arms: dict[str, Arm], bandwidths: Sequence[float], weights: Path) -> list[Goal]:
    """A ratio is of neighbours in time. `bandwidths` are the bytes a second that the memory gave in each round."""
    bounds = [bandwidth / weights_bytes(weights) for bandwidth in bandwidths]
    found = [measured("one request, the bound of memory", bounds, None, "tok/s")]
    if "ours" in arms:
        shares = [one / bound for one, bound in zip(arms["ours"].samples["single"], bounds, strict=True)]
        found.append(measured("an adapter, one request, decode, of the bound of memory", shares, 0.7, "x"))
        less = bytes_read(weights) / weights_bytes(weights)
        found.append(measured("the same, of the bound with the head in bytes", [less * share for share in shares], None, "x"))
    for name, (mine, peer, measurement, goal) in RATIOS.items():
        if {mine, peer} <= arms.keys():
            against = "decode" if measurement == "bare" or mine == peer else measurement
            pairs = zip(arms[mine].samples[measurement], arms[peer].samples[against], strict=True)
            found.append(measured(name, [one / other for one, other in pairs], goal, "x"))
    tokens = [(f"{name}: {measurement}", values) for name, arm in arms.items() for measurement, values in arm.samples.items()]
    return found + [measured(name, values, None, "tok/s") for name, values in tokens]


def warm_up(server: Server) -> None:
    """Loads the adapters, makes the kernels for each shape, then stops the arm until its turn."""
    wait_ready(server)
    with server.awake():
        batch_s(server, server.arm.models(REQUESTS), SHORT, 3, 0)
        batch_s(server, server.arm.models(2), LONG, 2, 0)


def adapters(repeats: int, names: Sequence[str]) -> list[Goal]:
    """The named arms, measured in turn. All start side by side: starting is mostly work on one core."""
    BENCH.mkdir(exist_ok=True)
    weights = materialize(ResponderConfig().base, console.print).folder
    bandwidths = []
    with ExitStack() as stack:
        servers = [stack.enter_context(running(arm, weights)) for arm in ARMS if arm.name in names]
        for server in servers:
            warm_up(server)
            console.print(f"{server.arm.name} is ready")
        for repeat in range(1, repeats + 1):
            bandwidths.append(read_bytes_per_s())
            for server in servers:
                with server.awake():
                    sample(server, repeat)
    return goals_of({server.arm.name: server.arm for server in servers}, bandwidths, weights)


def main(repeats: int = 3, only: str = EVERY_ARM) -> None:
    """`only` names the arms."""
    found = adapters(repeats, only.split(","))
    goals.write(found, RESULT)
    Console().print(goals.table(found, f"adapters on a CPU, {repeats} repeats"))


if __name__ == "__main__":
    typer.run(main)
