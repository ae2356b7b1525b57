"""Metrics of one measured run, named as in `vllm bench serve` where possible.

A run has a warm-up, a window and a tail. Latencies are of the requests that started in the window,
throughputs of what ended or was written in it. So neither the empty server at the beginning nor the
emptying one at the end is measured.
"""

import statistics
from collections.abc import Sequence

from load.harness.outcomes import Outcome, count_ends, goodput, percentile, tokens_in_window
from load.harness.runs import Metrics, Objective, Window
from models.emotions import LABELS

PERCENTILES = (0.5, 0.9, 0.95, 0.99)
PHASES = ("queue", "detect", "first_token", "generate")  # of `timings_ms` in the server's reply
# A client beyond one of these limits has measured itself.
MAX_LATENESS_MS = 5.0
MAX_LATENESS_SHARE = 0.05  # of the median latency
MAX_CLIENT_CORES = 0.9


def run_metrics(
    outcomes: Sequence[Outcome],
    window: Window,
    objective: Objective,
    lateness_s: float,
    client_cores: float,
) -> Metrics:
    """Compute all metrics of a run.

    Args:
        outcomes: All requests of the run, also those outside the window.
        window: The measured part.
        objective: Limits that decide about goodput and attainment.
        lateness_s: The client's greatest lateness.
        client_cores: CPU cores used by the client's process.
    """
    started = window.started(outcomes)
    ends = count_ends(started)
    metrics: Metrics = {
        "duration": window.duration_s,
        "completed": ends["ok"],
        "failed": len(started) - ends["ok"] - ends["rejected"],
        "rejected": ends["rejected"],
        "offered": len(started) / window.duration_s,
        "client_lateness_ms": lateness_s * 1000,
        "client_cores": client_cores,
    }
    if started:
        metrics["slo_attainment"] = sum(map(objective.met_by, started)) / len(started)
    metrics |= throughputs(outcomes, window, objective)
    return metrics | latencies([one for one in started if one.end == "ok"])


def throughputs(outcomes: Sequence[Outcome], window: Window, objective: Objective) -> Metrics:
    """Compute requests and tokens per second within the window."""
    completed = window.completed(outcomes)
    ok = [one for one in outcomes if one.end == "ok"]
    written = tokens_in_window(ok, window.from_s, window.to_s)
    read = sum(one.prompt_tokens for one in completed)
    return {
        "total_input_tokens": read,
        "total_output_tokens": written,
        "request_throughput": len(completed) / window.duration_s,
        "request_goodput": goodput(outcomes, objective.met_by, window.from_s, window.to_s),
        "output_throughput": written / window.duration_s,
        "total_token_throughput": (read + written) / window.duration_s,
    }


def latencies(outcomes: Sequence[Outcome]) -> Metrics:
    """Summarize time to first token, per output token, between chunks, and end to end."""
    metrics: Metrics = {}
    metrics |= summarize("ttft_ms", [one.ttft_s for one in outcomes])
    metrics |= summarize("tpot_ms", [one.tpot_s for one in outcomes])
    metrics |= summarize("itl_ms", [gap for one in outcomes for gap in one.itls_s])
    return metrics | summarize("e2el_ms", [one.total_s for one in outcomes])


def summarize(name: str, values_s: Sequence[float | None]) -> Metrics:
    """Compute mean, median, standard deviation and percentiles in ms; empty without values."""
    known_ms = [value * 1000 for value in values_s if value is not None]
    if not known_ms:
        return {}
    metrics = {
        f"mean_{name}": statistics.fmean(known_ms),
        f"median_{name}": percentile(known_ms, 0.5),
        f"std_{name}": statistics.pstdev(known_ms),
    }
    return metrics | {f"p{p * 100:.0f}_{name}": percentile(known_ms, p) for p in PERCENTILES}


def phase_latencies(outcomes: Sequence[Outcome]) -> dict[str, Metrics]:
    """Summarize the server's own phases, of the replies that report them."""
    phases = {
        phase: [one.timings_ms[phase] / 1000 for one in outcomes if phase in one.timings_ms]
        for phase in PHASES
    }
    return {phase: summarize("ms", values) for phase, values in phases.items() if values}


def persona_latencies(outcomes: Sequence[Outcome]) -> dict[str, Metrics]:
    """Summarize latencies by persona: the detected one, or the one that the client chose."""
    metrics = {}
    for label in LABELS:
        replies = [
            one for one in outcomes if one.end == "ok" and (one.detected or one.emotion) == label
        ]
        if replies:
            metrics[label.value] = {"completed": len(replies)} | latencies(replies)
    return metrics


def is_saturated(metrics: Metrics) -> bool:
    """Decide whether the client was too slow: late, or out of CPU."""
    lateness_ms = metrics["client_lateness_ms"]
    limit_ms = MAX_LATENESS_SHARE * metrics.get("median_e2el_ms", float("inf"))
    is_late = lateness_ms > MAX_LATENESS_MS and lateness_ms > limit_ms
    return is_late or metrics["client_cores"] > MAX_CLIENT_CORES
