"""How the graph grows with adapters, prompt length, answers at once and replicas: a plot each, and .bench/growth.json.

real engine -> TPOT over answers at once -> a service-time model -> scripted engine in the real graph -> replicas

PYTHONPATH=tests .venv/bin/python -m load.growth.growth [--only adapters,prompt,concurrency,replicas]
"""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from load.growth.engine import AT_ONCE, CONCURRENCIES, PROMPT_LENGTHS, Size, at_once, fitted, opened, with_prompt
from load.growth.result import FASTER, USERS_EACH, Growths, draw, kept, write
from load.harness.arrivals import closed_loop, session
from load.harness.client import ask
from load.harness.graph import LOCAL, console, running
from load.harness.metrics import Window, latencies
from load.harness.outcomes import Outcome, tokens_within
from load.harness.process_stats import by_kind
from load.harness.workload import Asked, mixed
from load.sweep.arms import TIMEOUT_S
from serve.cli.config_file import read_config
from serve.config import SCRIPTED, Replicas, ResponderConfig
from serve.engine import scripted

ROOT = Path(__file__).parents[3]
ADAPTERS = (6, 24, 96)
REPLICAS = (1, 2, 4, 8)
LEAST_S = 3.0  # of warm-up; twice that is measured
WORDS = scripted.TOKENS  # of a scripted answer
GROWTHS = ("adapters", "prompt", "concurrency", "replicas")


async def of_engine(config: ResponderConfig, only: Sequence[str]) -> Growths:
    """One engine a number of adapters; the first of them is asked for the rest too."""
    found: Growths = {name: [] for name in only if name != "replicas"}
    for adapters in ADAPTERS if "adapters" in only else ADAPTERS[:1]:
        async with opened(config, adapters) as here:
            if "adapters" in only:
                _told(found, "adapters", await at_once(here, AT_ONCE, adapters))
            if adapters == ADAPTERS[0] and "prompt" in only:
                for tokens in PROMPT_LENGTHS:
                    _told(found, "prompt", await with_prompt(here, tokens))
            if adapters == ADAPTERS[0] and "concurrency" in only:
                for answers in CONCURRENCIES:
                    _told(found, "concurrency", await at_once(here, answers, answers))
    return found


def _told(found: Growths, name: str, size: Size) -> None:
    found[name].append(size)
    console.print(f"{name} {size}")


def of_replicas(token_ms: float, beside_ms: float) -> list[Size]:
    """The scripted engine with these times, in the real graph: as many users a replica at every size."""
    found = []
    for replicas in REPLICAS:
        responder = ResponderConfig(
            kind="scripted",
            scripted_token_s=token_ms / 1000,
            scripted_beside_s=beside_ms / 1000,
            replicas=Replicas(minimum=replicas, maximum=replicas, cpus=0.1),
        )
        config = SCRIPTED.model_copy(update={"responder": responder})
        with running(config) as graph:
            found.append(asyncio.run(_closed(graph.url, replicas, WORDS * (token_ms + USERS_EACH * beside_ms) / 1000)))
        console.print(f"replicas {found[-1]}")
    return found


async def _closed(url: str, replicas: int, answer_s: float) -> Size:
    """Each user has an answer before what is measured, and more in it."""
    warm_s, measure_s = max(LEAST_S, answer_s), max(2 * LEAST_S, 2 * answer_s)
    async with session() as client:

        async def send(asked: Asked) -> Outcome:
            return await ask(client, url, asked, TIMEOUT_S)

        began_s = time.monotonic() + warm_s
        outcomes = await closed_loop(send, mixed(3), USERS_EACH * replicas, warm_s + measure_s)
    times = latencies(Window(from_s=began_s, to_s=began_s + measure_s).began(outcomes))
    memory = by_kind(os.getpid())
    return Size(
        size=replicas,
        tokens_per_s=tokens_within(outcomes, began_s, began_s + measure_s) / measure_s,
        ttft_ms=times["median_ttft_ms"],
        tpot_ms=times["median_tpot_ms"],
        memory_mib=sum(mib for kind, mib in memory.items() if kind != "other"),
    )


def main(
    only: Annotated[str, typer.Option(help="which growths, with commas")] = ",".join(GROWTHS),
    out: Annotated[Path, typer.Option(help="the JSON file; what it holds of other growths is kept")] = ROOT / ".bench" / "growth.json",
    docs: Annotated[Path, typer.Option(help="where the plots go")] = ROOT / "docs",
) -> None:
    """Measure how the graph grows."""
    names = only.split(",")
    found: Growths = kept(out)
    if set(names) - {"replicas"}:
        found |= asyncio.run(of_engine(read_config(LOCAL).responder, names))
        write(found, out)
    if "replicas" in names:
        token_ms, beside_ms = fitted(found["concurrency"])
        console.print(f"a token takes {token_ms:.1f} ms and {beside_ms:.2f} ms for each answer that is written")
        found["replicas"] = of_replicas(token_ms, beside_ms)
        found["fast"] = of_replicas(token_ms / FASTER, beside_ms / FASTER)
        write(found, out)
    draw(found, docs)


if __name__ == "__main__":
    typer.run(main)
