"""The graph compared with `vllm serve`, in interleaved rounds, as ratios.

Both have the same weights, adapters, operators and prompts.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from load.bench.detector import compare_detector, single_text_ms
from load.bench.goals import Goal, from_rounds
from load.bench.graph_goals import Round, compare_rounds, memory_goals
from load.bench.vllm_server import vllm_server
from load.harness.arrivals import client_session, closed_loop
from load.harness.graph import PORT, console, running_graph
from load.harness.openai_client import BuildBody, graph_body, send_completion, vllm_body
from load.harness.outcomes import Outcome, percentile, tokens_in_window
from load.harness.process_stats import memory_by_kind
from load.harness.workload import Request, synthetic_requests
from serve.config import ServeConfig

SEED = 5
SINGLE_SEED = 1000
WARMUP_S = 4.0
SINGLES = 10  # requests of a single user, one after the other


@dataclass(frozen=True)
class Side:
    """One of the two servers."""

    name: str
    url: str
    build_body: BuildBody


def compare_with_vllm(config: ServeConfig, rounds: int, measure_s: float, log: Path) -> list[Goal]:
    """Start both servers, one after the other, and compare them."""
    with vllm_server(config.responder, PORT + 1, log) as peer:
        started_s = time.monotonic()
        with running_graph(config) as graph:
            start_s = time.monotonic() - started_s
            sides = (Side("graph", graph.url, graph_body), Side("vllm", peer.url, vllm_body))
            detect_s = asyncio.run(single_text_ms(graph.url)) / 1000
            found, memory_mib = _run_rounds(sides, config, rounds, measure_s)
            detector = compare_detector(graph.url, config.detector, rounds)
    start_ratio = start_s / peer.start_s
    return [
        *compare_rounds(found["graph"], found["vllm"], detect_s),
        *detector,
        from_rounds("start time, graph / vLLM", [start_ratio], "x", 1.15, at_most=True),
        from_rounds("start time, graph", [start_s], "s"),
        *memory_goals(memory_mib),
    ]


def _run_rounds(
    sides: tuple[Side, Side], config: ServeConfig, rounds: int, measure_s: float
) -> tuple[dict[str, list[Round]], dict[str, float]]:
    """Run the rounds; the order of the sides changes every round.

    Returns:
        The rounds of each side, and the memory in MiB by kind right after the graph was full.
    """
    users = config.responder.hardware.max_num_seqs
    found: dict[str, list[Round]] = {side.name: [] for side in sides}
    memory_mib: dict[str, float] = {}
    for number in range(rounds):
        for side in sides if number % 2 else reversed(sides):
            measured = asyncio.run(measure_round(side, users, measure_s, number))
            found[side.name].append(measured)
            console.print(f"round {number + 1}, {side.name}: {measured}")
            if side.name == "graph":
                memory_mib = memory_by_kind(os.getpid())
    return found, memory_mib


async def measure_round(side: Side, users: int, measure_s: float, number: int) -> Round:
    """Measure with a full batch for a while, then one request after the other."""
    async with client_session() as session:

        async def send(request: Request) -> Outcome:
            return await send_completion(session, side.url, request, side.build_body)

        from_s = time.monotonic() + WARMUP_S
        requests = synthetic_requests(SEED + number)
        busy = await closed_loop(send, requests, users, WARMUP_S + measure_s)
        singles = synthetic_requests(SINGLE_SEED + number)
        alone = [await send(next(singles)) for _ in range(SINGLES)]
    _require_complete([*busy, *alone])
    # Without the first requests, which all users sent at the same moment.
    later = [outcome for outcome in busy if outcome.started_s >= from_s]
    rates = [1 / outcome.tpot_s for outcome in alone if outcome.tpot_s]
    return Round(
        tokens_per_s=tokens_in_window(busy, from_s, from_s + measure_s) / measure_s,
        ttft_p50_s=percentile(_ttfts_s(later), 0.5),
        ttft_p99_s=percentile(_ttfts_s(later), 0.99),
        single_ttft_p50_s=percentile(_ttfts_s(alone), 0.5),
        single_tokens_per_s=percentile(rates, 0.5),
    )


def _ttfts_s(outcomes: Sequence[Outcome]) -> list[float]:
    return [outcome.ttft_s for outcome in outcomes if outcome.ttft_s is not None]


def _require_complete(outcomes: Sequence[Outcome]) -> None:
    """Reject a comparison that contains failures."""
    failed = [outcome for outcome in outcomes if outcome.end != "ok"]
    if failed:
        first = f"{failed[0].end}, {failed[0].error}"
        raise RuntimeError(f"{len(failed)} of {len(outcomes)} requests failed; the first: {first}")
