"""Ratios between the graph and `vllm serve`, and their goals."""

from dataclasses import dataclass

from load.bench.goals import Goal, from_rounds
from load.harness.process_stats import ENGINE, OTHER, VLLM_SERVER


@dataclass(frozen=True)
class Round:
    """Measurement of one side in one round: at saturation, and with a single user."""

    tokens_per_s: float
    ttft_p50_s: float
    ttft_p99_s: float
    single_ttft_p50_s: float
    single_tokens_per_s: float


def compare_rounds(graph: list[Round], vllm: list[Round], detect_s: float) -> list[Goal]:
    """Compare rounds that ran one after the other. The goals are what a user would notice."""
    pairs = list(zip(graph, vllm, strict=True))
    throughput = [ours.tokens_per_s / peer.tokens_per_s for ours, peer in pairs]
    ttft = [ours.ttft_p99_s / peer.ttft_p99_s for ours, peer in pairs]
    added_ms = [
        (ours.single_ttft_p50_s - peer.single_ttft_p50_s - detect_s) * 1000 for ours, peer in pairs
    ]
    goals = [
        from_rounds("throughput at saturation, graph / vLLM", throughput, "x", 0.90),
        from_rounds("TTFT p99 at saturation, graph / vLLM", ttft, "x", 1.15, at_most=True),
        from_rounds(
            "TTFT p50 of one request, graph - vLLM - detector", added_ms, "ms", 5, at_most=True
        ),
    ]
    for name, rounds in (("graph", graph), ("vLLM", vllm)):
        saturated = [one.tokens_per_s for one in rounds]
        single = [one.single_tokens_per_s for one in rounds]
        ttft_ms = [one.single_ttft_p50_s * 1000 for one in rounds]
        goals += [
            from_rounds(f"throughput at saturation, {name}", saturated, "tok/s"),
            from_rounds(f"throughput of one request, {name}", single, "tok/s"),
            from_rounds(f"TTFT p50 of one request, {name}", ttft_ms, "ms"),
        ]
    return goals


def memory_goals(memory_mib: dict[str, float]) -> list[Goal]:
    """Sum the graph's memory without its engine.

    `vllm serve` is a child process too and the benchmark itself is `OTHER`; neither belongs to the
    graph.
    """
    parts = {
        kind: mib / 1024
        for kind, mib in memory_mib.items()
        if kind not in {ENGINE, OTHER, VLLM_SERVER}
    }
    total = from_rounds(
        "memory without the engine", [sum(parts.values())], "GiB", 1.4, at_most=True
    )
    shown = parts | {VLLM_SERVER: memory_mib.get(VLLM_SERVER, 0.0) / 1024}
    return [
        total,
        *(from_rounds(f"memory, {kind}", [gib], "GiB") for kind, gib in sorted(shown.items())),
    ]
