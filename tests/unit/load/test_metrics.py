"""Metrics of a run's window."""

import json

import pytest

from load.harness.metrics import is_saturated, latencies, phase_latencies, run_metrics
from load.harness.outcomes import Outcome
from load.harness.runs import Objective, Window
from models.emotions import Emotion
from unit.load.builders import reply

WINDOW = Window(from_s=10, to_s=20)
OBJECTIVE = Objective(ttft_ms=500, tpot_ms=250)
STATISTICS = ("mean", "median", "std", "p50", "p90", "p95", "p99")


def test_summarizes_times_between_chunks_and_per_token() -> None:
    metrics = latencies([reply(0), reply(1, chunks_at_s=(1.5, 2.5), completion_tokens=6)])
    assert metrics["p50_itl_ms"] == pytest.approx(200)
    assert metrics["p99_itl_ms"] == pytest.approx(1000, rel=0.05)
    assert metrics["mean_itl_ms"] == pytest.approx((4 * 200 + 1000) / 5)
    assert metrics["median_tpot_ms"] == pytest.approx(200)
    assert metrics["mean_ttft_ms"] == pytest.approx(450)


def test_reply_of_one_chunk_has_no_time_between_chunks() -> None:
    metrics = latencies([reply(0, chunks_at_s=(0.4,), completion_tokens=1)])
    names = {f"{name}_{kind}_ms" for kind in ("ttft", "e2el") for name in STATISTICS}
    assert metrics.keys() == names


def test_measures_only_the_window() -> None:
    outcomes = [reply(8.5), reply(12), reply(19.5), reply(21)]
    metrics = run_metrics(outcomes, WINDOW, OBJECTIVE, lateness_s=0.002, client_cores=0.1)
    assert metrics["completed"] == 2, "requests that started in the window"
    assert metrics["request_throughput"] == pytest.approx(0.1), "replies that ended in the window"
    assert metrics["output_throughput"] == pytest.approx((5 + 5 * 0.1 / 0.8) / 10)
    assert metrics["request_goodput"] == pytest.approx(0.1)
    assert metrics["offered"] == pytest.approx(0.2)
    assert metrics["client_lateness_ms"] == pytest.approx(2)


def test_counts_rejections_and_failures_separately() -> None:
    rejected = Outcome(emotion=Emotion.JOY, end="rejected", started_s=11, ended_s=11.1, status=429)
    lost = Outcome(emotion=Emotion.JOY, end="lost", started_s=11, ended_s=12)
    outcomes = [reply(12), rejected, lost, reply(13)]
    metrics = run_metrics(outcomes, WINDOW, OBJECTIVE, lateness_s=0, client_cores=0)
    assert (metrics["completed"], metrics["rejected"], metrics["failed"]) == (2, 1, 1)
    assert metrics["slo_attainment"] == pytest.approx(0.5)


def test_empty_window_has_no_nan() -> None:
    metrics = run_metrics([], WINDOW, OBJECTIVE, lateness_s=0, client_cores=0)
    json.dumps(metrics, allow_nan=False)
    assert "slo_attainment" not in metrics


@pytest.mark.parametrize(
    ("outcome", "met"),
    [
        (reply(0), True),
        (reply(0, chunks_at_s=(0.6, 0.7)), False),
        (reply(0, completion_tokens=3), False),
        (reply(0, chunks_at_s=()), False),
    ],
)
def test_objective_limits_first_and_further_tokens(outcome: Outcome, met: bool) -> None:
    assert OBJECTIVE.met_by(outcome) is met


def test_takes_phases_from_the_server() -> None:
    timings_ms = {"queue": 1, "detect": 20, "first_token": 100, "generate": 800, "total": 921}
    timed = reply(0, timings_ms=timings_ms)
    assert phase_latencies([timed, reply(1)])["detect"]["p99_ms"] == pytest.approx(20)
    assert phase_latencies([reply(1)]) == {}


@pytest.mark.parametrize(
    ("lateness_ms", "cores", "expected"),
    [(1, 0.2, False), (4.9, 0.2, False), (30, 0.2, True), (1, 0.95, True)],
)
def test_late_or_busy_client_is_saturated(lateness_ms: float, cores: float, expected: bool) -> None:
    metrics = {
        "client_lateness_ms": lateness_ms,
        "client_cores": cores,
        "median_e2el_ms": 100,
    }
    assert is_saturated(metrics) is expected
