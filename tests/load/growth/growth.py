"""Growth with adapters, prompt length, replies at once and replicas: plots and .bench/growth.json.

real engine -> TPOT over replies at once -> service-time model -> scripted engine in the real graph
-> replicas

PYTHONPATH=tests .venv/bin/python -m load.growth.growth
    [--only adapters,prompt,concurrency,replicas]
"""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from load.growth.engine import (
    ADAPTER_REPLIES,
    Measurement,
    fit_token_time,
    measure_batch,
    measure_prompt,
)
from load.growth.result import (
    FAST_FACTOR,
    USERS_PER_REPLICA,
    Growth,
    draw_plots,
    read_result,
    write_result,
)
from load.growth.running_engine import running_engine
from load.harness.arrivals import client_session, closed_loop
from load.harness.client import send_request
from load.harness.graph import LOCAL, console, running_graph
from load.harness.metrics import latencies
from load.harness.outcomes import Outcome, tokens_in_window
from load.harness.process_stats import OTHER, memory_by_kind
from load.harness.runs import Window
from load.harness.workload import Request, synthetic_requests
from serve.cli.config_file import read_config
from serve.config import SCRIPTED, Replicas, ResponderConfig, ScriptedConfig
from support.fakes import SCRIPTED_TOKENS

ROOT = Path(__file__).parents[3]
ADAPTERS = (6, 24, 96)
PROMPT_TOKENS = (32, 64, 128, 256, 512)
CONCURRENCIES = (1, 2, 4, 8, 16, 32)
REPLICAS = (1, 2, 4, 8)
REPLICA_CPUS = 0.1
MIN_WARMUP_S = 3.0  # the window is twice as long
TIMEOUT_S = 60.0
SEED = 3
NAMES = ("adapters", "prompt", "concurrency", "replicas")


async def measure_engine(config: ResponderConfig, only: Sequence[str]) -> Growth:
    """Measure one engine for each number of adapters; the first also gives the other growths."""
    growth: Growth = {}
    for adapters in ADAPTERS if "adapters" in only else ADAPTERS[:1]:
        async with running_engine(config, adapters) as running:
            if "adapters" in only:
                _add(growth, "adapters", await measure_batch(running, ADAPTER_REPLIES, adapters))
            if adapters == ADAPTERS[0] and "prompt" in only:
                for tokens in PROMPT_TOKENS:
                    _add(growth, "prompt", await measure_prompt(running, tokens))
            if adapters == ADAPTERS[0] and "concurrency" in only:
                for replies in CONCURRENCIES:
                    _add(growth, "concurrency", await measure_batch(running, replies, replies))
    return growth


def _add(growth: Growth, name: str, measurement: Measurement) -> None:
    growth.setdefault(name, []).append(measurement)
    console.print(f"{name} {measurement}")


def measure_replicas(token_ms: float, token_ms_per_running: float) -> list[Measurement]:
    """Measure the real graph with a scripted engine that has these token times."""
    schedule = ScriptedConfig(
        token_s=token_ms / 1000, token_s_per_running=token_ms_per_running / 1000
    )
    reply_ms = SCRIPTED_TOKENS * (token_ms + USERS_PER_REPLICA * token_ms_per_running)
    measurements = []
    for count in REPLICAS:
        replicas = Replicas(minimum=count, maximum=count, cpus=REPLICA_CPUS)
        responder = ResponderConfig(kind="scripted", scripted=schedule, replicas=replicas)
        with running_graph(SCRIPTED.model_copy(update={"responder": responder})) as graph:
            measurements.append(asyncio.run(_measure_users(graph.url, count, reply_ms / 1000)))
        console.print(f"replicas {measurements[-1]}")
    return measurements


async def _measure_users(url: str, replicas: int, reply_s: float) -> Measurement:
    """Simulate users, each with at least one reply before the window and one in it."""
    warmup_s = max(MIN_WARMUP_S, reply_s)
    measure_s = 2 * warmup_s
    async with client_session() as session:

        async def send(request: Request) -> Outcome:
            return await send_request(session, url, request, TIMEOUT_S)

        from_s = time.monotonic() + warmup_s
        users = USERS_PER_REPLICA * replicas
        requests = synthetic_requests(SEED)
        outcomes = await closed_loop(send, requests, users, warmup_s + measure_s)
    window = Window(from_s=from_s, to_s=from_s + measure_s)
    times = latencies(window.started(outcomes))
    memory = memory_by_kind(os.getpid())
    return Measurement(
        size=replicas,
        tokens_per_s=tokens_in_window(outcomes, window.from_s, window.to_s) / measure_s,
        ttft_ms=times["median_ttft_ms"],
        tpot_ms=times["median_tpot_ms"],
        memory_mib=sum(mib for kind, mib in memory.items() if kind != OTHER),
    )


def main(
    only: Annotated[str, typer.Option(help="growths, separated by commas")] = ",".join(NAMES),
    out: Annotated[Path, typer.Option(help="JSON file; it keeps its other growths")] = ROOT
    / ".bench"
    / "growth.json",
    docs: Annotated[Path, typer.Option(help="folder of the plots")] = ROOT / "docs" / "performance",
) -> None:
    """Measure how the graph grows."""
    names = only.split(",")
    growth = read_result(out)
    if set(names) - {"replicas"}:
        growth |= asyncio.run(measure_engine(read_config(LOCAL).responder, names))
        write_result(growth, out)
    if "replicas" in names:
        token_ms, per_running_ms = fit_token_time(growth["concurrency"])
        console.print(f"a token takes {token_ms:.1f} ms and {per_running_ms:.2f} ms per reply")
        growth["replicas"] = measure_replicas(token_ms, per_running_ms)
        growth["fast"] = measure_replicas(token_ms / FAST_FACTOR, per_running_ms / FAST_FACTOR)
        write_result(growth, out)
    draw_plots(growth, docs)


if __name__ == "__main__":
    typer.run(main)
