"""The graph beside `vllm serve`: the same weights, adapters, operators and prompts, in interleaved rounds, as ratios."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from load.bench import detector as detect_bench
from load.bench.goals import Goal, measured
from load.bench.vllm_server import bare
from load.harness.arrivals import closed_loop, session
from load.harness.graph import PORT, console, running
from load.harness.openai_client import Body, complete, of_bare, of_graph
from load.harness.outcomes import Outcome, percentile, tokens_within
from load.harness.process_stats import PEER, by_kind
from load.harness.workload import Asked, mixed
from serve.config import ServeConfig

SEED = 5
WARM_S = 4.0
SINGLES = 10  # requests of one user, one after the other


@dataclass(frozen=True)
class Side:
    """One of the two that are compared."""

    url: str
    body: Body


@dataclass(frozen=True)
class Round:
    """What one round of one side gave."""

    tokens_per_s: float
    ttft_p50_s: float
    ttft_p99_s: float
    single_ttft_p50_s: float
    single_tokens_per_s: float


def beside_bare(config: ServeConfig, rounds: int, measure_s: float, log: Path) -> list[Goal]:
    """Starts both sides, one after the other, and compares them."""
    with bare(config.responder, PORT + 1, log) as peer:
        began_s = time.monotonic()
        with running(config) as graph:
            ready_s = time.monotonic() - began_s
            sides = (Side(graph.url, of_graph), Side(peer.url, of_bare))
            detected_s = asyncio.run(detect_bench.single_ms(graph.url)) / 1000
            found, memory = _rounds(sides, config, rounds, measure_s)
            detector = detect_bench.compared(graph.url, config.detector, rounds)
    return [
        *compared(found[0], found[1], detected_s),
        *detector,
        measured("from start to ready, of bare", [ready_s / peer.ready_s], 1.15, "x", at_most=True),
        measured("from start to ready, graph", [ready_s], None, "s"),
        *_memory_goals(memory),
    ]


async def one_round(side: Side, users: int, measure_s: float, number: int) -> Round:
    """All places of the batch taken for a while, then one request after the other."""
    async with session() as client:

        async def send(asked: Asked) -> Outcome:
            return await complete(client, side.url, asked, side.body)

        began_s = time.monotonic() + WARM_S
        busy = await closed_loop(send, mixed(SEED + number), users, WARM_S + measure_s)
        workload = mixed(1000 + number)
        alone = [await send(next(workload)) for _ in range(SINGLES)]
    _all_whole([*busy, *alone])
    within = [one for one in busy if one.began_s >= began_s]  # not the first of all users, who came at the same moment
    return Round(
        tokens_per_s=tokens_within(busy, began_s, began_s + measure_s) / measure_s,
        ttft_p50_s=percentile(_ttfts(within), 0.5),
        ttft_p99_s=percentile(_ttfts(within), 0.99),
        single_ttft_p50_s=percentile(_ttfts(alone), 0.5),
        single_tokens_per_s=percentile([1 / one.tpot_s for one in alone if one.tpot_s], 0.5),
    )


def _ttfts(outcomes: Sequence[Outcome]) -> list[float]:
    return [one.ttft_s for one in outcomes if one.ttft_s is not None]


def _all_whole(outcomes: Sequence[Outcome]) -> None:
    """A comparison with failures in it compares nothing."""
    bad = [one.problem for one in outcomes if one.end != "ok"]
    if bad:
        raise RuntimeError(f"{len(bad)} of {len(outcomes)} requests failed, the first: {bad[0]}")


def compared(graph: list[Round], peer: list[Round], detect_s: float) -> list[Goal]:
    """Ratios of rounds that were run one after the other. Source of the goals: what a user would notice."""
    pairs = list(zip(graph, peer, strict=True))
    beyond_ms = [(g.single_ttft_p50_s - b.single_ttft_p50_s - detect_s) * 1000 for g, b in pairs]
    return [
        measured("throughput at saturation, of bare", [g.tokens_per_s / b.tokens_per_s for g, b in pairs], 0.97, "x"),
        measured("TTFT p99 at saturation, of bare", [g.ttft_p99_s / b.ttft_p99_s for g, b in pairs], 1.10, "x", at_most=True),
        measured("TTFT p50 at one request, beyond bare and detector", beyond_ms, 5, "ms", at_most=True),
        measured("throughput at saturation, graph", [g.tokens_per_s for g in graph], None, "tok/s"),
        measured("throughput at saturation, bare", [b.tokens_per_s for b in peer], None, "tok/s"),
        measured("one request, graph", [g.single_tokens_per_s for g in graph], None, "tok/s"),
        measured("one request, bare", [b.single_tokens_per_s for b in peer], None, "tok/s"),
        measured("TTFT p50 at one request, graph", [g.single_ttft_p50_s * 1000 for g in graph], None, "ms"),
        measured("TTFT p50 at one request, bare", [b.single_ttft_p50_s * 1000 for b in peer], None, "ms"),
    ]


def _rounds(
    sides: tuple[Side, Side], config: ServeConfig, rounds: int, measure_s: float
) -> tuple[tuple[list[Round], list[Round]], dict[str, float]]:
    """Interleaved; the order changes every round. Memory is looked at when the graph has just been full."""
    users = config.responder.hardware.max_num_seqs
    found: tuple[list[Round], list[Round]] = ([], [])
    memory: dict[str, float] = {}
    for number in range(rounds):
        for which in (0, 1) if number % 2 else (1, 0):
            found[which].append(asyncio.run(one_round(sides[which], users, measure_s, number)))
            console.print(f"round {number + 1}, {('graph', 'bare')[which]}: {found[which][-1]}")
            if which == 0:
                memory = dict(by_kind(os.getpid()))
    return found, memory


def _memory_goals(memory: dict[str, float]) -> list[Goal]:
    """The bare server is a child too, and the bench itself is `other`; neither is the graph."""
    parts = {kind: mib for kind, mib in memory.items() if kind not in {"engine", "other", PEER}}
    total = measured("memory of all but the engine", [sum(parts.values()) / 1024], 1.5, "GiB", at_most=True)
    shown = parts | {PEER: memory.get(PEER, 0.0)}
    return [total, *(measured(f"memory, {kind}", [mib / 1024], None, "GiB") for kind, mib in sorted(shown.items()))]
