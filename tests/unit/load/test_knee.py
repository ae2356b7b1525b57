"""Knees of load curves, and the aggregation of repeats."""

import math

import pytest

from load.sweep.knee import aggregate_runs, find_knees, growth_exponent, power_knee, rate_knee
from unit.load.builders import run_of


def test_rate_knee_is_the_last_rate_before_the_first_miss() -> None:
    attainments = ((1, 1.0), (2, 0.95), (4, 0.5), (8, 0.92))
    runs = [run_of(level, slo_attainment=met) for level, met in attainments]
    level, description = rate_knee(aggregate_runs(runs))
    assert level == 2
    assert "at 4/s" in description


def test_rate_knee_may_be_above_the_highest_rate() -> None:
    runs = [run_of(1, slo_attainment=1), run_of(2, slo_attainment=0.9)]
    level, description = rate_knee(aggregate_runs(runs))
    assert level == 2
    assert "or above" in description


def test_rate_knee_may_be_below_the_lowest_rate() -> None:
    assert rate_knee(aggregate_runs([run_of(1, slo_attainment=0.2)]))[0] is None
    assert rate_knee(aggregate_runs([run_of(1)]))[0] is None


def test_power_knee_is_where_throughput_over_latency_is_highest() -> None:
    rows = ((1, 1, 1000), (4, 3.8, 1050), (16, 8, 2000), (32, 8.1, 4000))
    runs = [
        run_of(users, request_throughput=throughput, mean_e2el_ms=latency_ms)
        for users, throughput, latency_ms in rows
    ]
    assert power_knee(aggregate_runs(runs))[0] == 16


def test_power_knee_needs_a_completed_request() -> None:
    assert power_knee(aggregate_runs([run_of(1, request_throughput=0, mean_e2el_ms=1)]))[0] is None
    assert power_knee(aggregate_runs([run_of(1)]))[0] is None


def test_finds_a_knee_for_each_arm_and_mode() -> None:
    runs = [run_of(1, arm, slo_attainment=1) for arm in ("graph", "vllm")]
    runs.append(run_of(1, request_throughput=1, mean_e2el_ms=1))
    knees = find_knees(aggregate_runs(runs))
    expected = {("graph", "rate"), ("graph", "concurrency"), ("vllm", "rate")}
    assert {(knee.arm, knee.mode) for knee in knees} == expected


def test_point_has_median_and_extremes_of_its_repeats() -> None:
    runs = [run_of(1, repeat=number, offered=value) for number, value in enumerate((3.0, 1.0, 2.0))]
    [point] = aggregate_runs(runs)
    offered = point.metrics["offered"]
    assert (offered.value, offered.low, offered.high) == (2, 1, 3)
    assert math.isnan(point.value("unknown"))


def test_fits_the_exponent_of_a_power_law() -> None:
    sizes = [1, 2, 4, 8]
    assert growth_exponent(sizes, [3 * size**0.7 for size in sizes]) == pytest.approx(0.7)
    assert growth_exponent(sizes, [5.0] * 4) == pytest.approx(0)
