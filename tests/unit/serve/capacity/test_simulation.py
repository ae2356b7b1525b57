"""The simulator: engines by arithmetic, Ray's default as in Ray, and the whole comparison."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ray.serve._private.common import DeploymentID
from ray.serve.autoscaling_policy import _apply_autoscaling_config, default_autoscaling_policy
from ray.serve.config import AutoscalingConfig, AutoscalingContext
from typer.testing import CliRunner

from serve.__main__ import PROFILES, app
from serve.capacity.hardware import read_hardware
from serve.capacity.policy import Policy
from serve.capacity.settings import Settings
from serve.capacity.signals import ResponderLoad, Signals
from serve.capacity.simulation.compare import Comparer, Comparison, Workload, table
from serve.capacity.simulation.controllers import QueueLength, Static
from serve.capacity.simulation.fleet import Bounds, Fleet, Outcome
from serve.capacity.simulation.replicas import Detectors, Responder
from serve.capacity.simulation.reports import ResponderReports
from serve.capacity.simulation.traces import TRACES, Request, Trace, trace_named

L4 = read_hardware(PROFILES / "l4.toml")
HARDWARE = L4.model_copy(
    update={
        "step_ms": 10,
        "step_ms_per_answer": 10,
        "prefill_ms_per_token": 0,
        "slots": 2,
        "cpu_ms_per_answer": 0,
        "cpu_ms_per_chunk": 0,
        "detector_texts_per_s": 1000,
    }
)


def test_answers_share_the_engine() -> None:
    engine = Responder(HARDWARE, 0, 0)
    engine.connections = 3
    assert engine.join(Request(0, 1, 100), 0) == pytest.approx(0.02)
    assert engine.next_end_s() == pytest.approx(2.0)  # alone: 20 ms a token
    engine.join(Request(1, 1, 100), 1.0)
    assert engine.next_end_s() == pytest.approx(2.5)  # 50 tokens left, now 30 ms each
    assert engine.join(Request(1, 1, 10), 1.0) is None  # both slots are taken
    assert (engine.running, engine.waiting) == (2, 1)
    follower = engine.end_one(2.5)
    assert follower is not None
    assert follower[1] == pytest.approx(2.53)
    assert engine.next_end_s() == pytest.approx(2.8)


def test_a_prompt_stops_the_batch() -> None:
    engine = Responder(HARDWARE.model_copy(update={"prefill_ms_per_token": 10}), 0, 0)
    assert engine.join(Request(0, 50, 10), 0) == pytest.approx(0.52)
    assert engine.next_end_s() == pytest.approx(0.7)


def test_detectors_are_one_queue() -> None:
    detectors = Detectors(HARDWARE.model_copy(update={"detector_texts_per_s": 1}), 2)
    assert [detectors.classify(0) for _ in range(3)] == [1, 1, 2]
    for load in detectors.load(10):
        assert [load.busy, load.texts_per_s] == pytest.approx([0.15, 0.15])
    assert len(detectors.load(10)) == 2
    detectors.scale(3, 10)
    assert len(detectors) == 3


def test_a_cold_start_holds_requests_and_costs_from_its_order() -> None:
    fleet = Fleet(HARDWARE, Static(1), Bounds(0, 1))
    outcome = fleet.run([Request(1, 1, 10)], 100)
    assert outcome.ttft_ms == [pytest.approx(60_021)]  # ordered at 1 s, ready at 61 s
    assert outcome.gpu_s == pytest.approx(99)


def test_requests_beyond_the_queue_are_rejected_and_violate() -> None:
    fleet = Fleet(HARDWARE, Static(1), Bounds(1, 1))
    outcome = fleet.run([Request(0, 1, 1000) for _ in range(100)], 50)
    assert outcome.rejected == 100 - 2 - 64
    assert outcome.requests == 100
    assert outcome.violations(1000) == pytest.approx(0.98)
    assert outcome.ttft_p95_ms() == float("inf")


def test_a_removed_replica_ends_its_answers() -> None:
    class Shrink:
        """Asks for one replica fewer after the first decision."""

        decide = Static(1).decide

    outcome = Fleet(HARDWARE, Shrink(), Bounds(1, 2)).run([Request(0, 1, 1000)] * 2, 100)
    assert len(outcome.ttft_ms) == 2


def contexts(ongoing: list[int]) -> Iterator[tuple[float, int]]:
    return ((5.0 * at, number) for at, number in enumerate(ongoing))


def test_queue_length_decides_as_rays_default_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both see the same load for 20 minutes: a climb, a plateau, a fall."""
    load = [4] * 20 + list(range(4, 64)) + [64] * 60 + [8] * 140
    config = AutoscalingConfig(min_replicas=1, max_replicas=100, target_ongoing_requests=8)
    rays = _apply_autoscaling_config(default_autoscaling_policy)
    ours = QueueLength(target=8, look_back_s=1)
    now_s = 0.0
    monkeypatch.setattr("ray.serve.autoscaling_policy.time.time", lambda: now_s)
    target = 1
    state: dict[str, Any] = {}
    for at, ongoing in contexts(load):
        now_s = at
        context = AutoscalingContext(
            deployment_id=DeploymentID("d"),
            deployment_name="d",
            app_name="a",
            current_num_replicas=target,
            target_num_replicas=target,
            running_replicas=[],
            total_num_requests=ongoing,
            total_queued_requests=0,
            aggregated_metrics=None,
            raw_metrics=None,
            capacity_adjusted_min_replicas=1,
            capacity_adjusted_max_replicas=100,
            policy_state=state,
            last_scale_up_time=None,
            last_scale_down_time=None,
            current_time=at,
            config=config,
        )
        replicas = tuple(ResponderLoad(running=ongoing / target) for _ in range(target))
        signals = Signals(at, replicas, (), 0, target, 1)
        expected, state = rays(context)
        assert ours.decide(signals).responders == max(expected, 1)
        target = max(expected, 1)
    assert target == 1


def test_arrivals_have_the_rate_of_the_trace() -> None:
    flat = Trace("flat", "", 400, lambda time_s: 0.5)
    requests = list(flat.requests(peak_per_s=20, prompt=60, answer=100))
    assert len(requests) == pytest.approx(4000, rel=0.15)
    assert sum(each.answer for each in requests) / len(requests) == pytest.approx(100, rel=0.03)
    times = [each.time_s for each in requests]
    assert all(one <= other for one, other in itertools.pairwise(times))
    assert requests == list(flat.requests(peak_per_s=20, prompt=60, answer=100))


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.name)
def test_shapes_are_shares_of_the_peak(trace: Trace) -> None:
    values = [trace.shape(float(second)) for second in range(int(trace.duration_s))]
    assert 0.1 < min(values) < 0.25
    assert 0.99 < max(values) <= 1


def test_policy_is_late_less_often_than_a_larger_static_fleet() -> None:
    trace = trace_named("flash")
    requests = list(trace.requests(peak_per_s=6, prompt=60, answer=100))
    small = L4.model_copy(update={"slots": 4})
    policy = Fleet(small, Policy(), Bounds(1, 12)).run(requests, trace.duration_s)
    static = Fleet(small, Static(5), Bounds(5, 5)).run(requests, trace.duration_s)
    assert policy.ttft_p95_ms() <= 1000
    assert policy.violations(1000) < static.violations(1000)
    assert policy.gpu_s < 0.95 * static.gpu_s


def test_the_command_prints_a_table_and_plots(tmp_path: Path) -> None:
    file = tmp_path / "scaling.svg"
    options = ["--trace", "flash", "--peak", "0.2", "--plot", str(file)]
    done = CliRunner().invoke(app, ["simulate", *options])
    assert done.exit_code == 0
    assert "| flash | policy |" in done.output
    assert "<svg" in file.read_text("utf-8")


def test_reports_are_those_of_a_replica_and_late() -> None:
    reports = ResponderReports(0)
    for request in range(10):
        reports.add_arrival(request / 10)
    reports.add_ttft(1, 300)
    reports.tick(1, running=80, admitted=90, slots=64)
    assert reports.seen is None  # reported every 2 s
    reports.tick(2, running=80, admitted=90, slots=64)
    assert reports.seen == ResponderLoad(64, 26, 64, 2, 300)  # ten in the last 5 s
    for now_s in (3, 4):
        reports.tick(now_s, running=0, admitted=0, slots=64)
    assert reports.seen == ResponderLoad(32, 13, 64, 2, 300)  # the mean of 4 s


def test_a_fleet_that_misses_the_objective_is_no_measure() -> None:
    workload = Workload(peak_per_s=4, maximum=1)
    one = L4.model_copy(update={"slots": 2})
    spike = Trace("spike", "", 300, lambda time_s: 1.0)
    found = Comparer(spike, one, workload).compare(Settings())
    assert found.static_size is None
    rows = [line.split("|") for line in table([found], 1000)][2:]
    assert [row[4].strip() for row in rows] == ["-"] * 3
    assert "misses the objective too" in rows[1][2]


def test_unequal_hours_are_said() -> None:
    less = Outcome(ttft_ms=[1.0], gpu_s=3600)
    more = Outcome(ttft_ms=[1.0], gpu_s=3960)
    found = Comparison(TRACES[0], policy=less, static=less, static_size=1, default=more, target=9)
    assert "target 9 (+10% hours)" in list(table([found], 1000))[-1]
    assert "(" not in list(table([replace(found, default=less)], 1000))[-1]


def test_a_trace_that_would_take_all_memory_is_refused() -> None:
    done = CliRunner().invoke(app, ["simulate", "--peak", "1e6"])
    assert done.exit_code == 1
    assert "2,000,000" in done.output
    assert "--peak" in done.output


def test_an_unknown_trace_is_named() -> None:
    done = CliRunner().invoke(app, ["simulate", "--trace", "weekly"])
    assert done.exit_code == 1
    assert "weekly" in done.output


def test_a_plot_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file", "utf-8")
    file = tmp_path / "folder" / "plot.svg"
    options = ["--trace", "flash", "--peak", "0.2", "--plot", str(file)]
    done = CliRunner().invoke(app, ["simulate", *options])
    assert done.exit_code == 1
    assert f"cannot write {file}" in done.output
