"""Overload test in a short form."""

import asyncio

import pytest

from load.harness.graph import running_graph
from load.harness.ports import free_port
from load.sweep.overload import Times, config_of, run_overload
from load.sweep.overload_result import OverloadResult

MIN_SHARE = 0.6  # a step is short; the whole test asks for more


@pytest.fixture(scope="module")
def result() -> OverloadResult:
    config = config_of("scripted")
    with running_graph(config, free_port()) as graph:
        return asyncio.run(run_overload(graph, config, Times(warmup_s=2, measure_s=5)))


def test_rejections_have_retry_after(result: OverloadResult) -> None:
    assert result.steps[-1].rejected > 0
    assert [step.rejected_without_retry_after for step in result.steps] == [0] * len(result.steps)


def test_accepted_requests_get_correct_replies(result: OverloadResult) -> None:
    for step in result.steps:
        assert step.ends["ok"] > 0
        assert {end for end, count in step.ends.items() if count} <= {"ok", "rejected"}


def test_nothing_is_left_running(result: OverloadResult) -> None:
    assert result.left_running == 0


def test_answers_everything_below_capacity(result: OverloadResult) -> None:
    assert result.steps[0].rejected == 0
    assert result.steps[0].goodput > MIN_SHARE * result.steps[0].offered


def test_keeps_its_goodput_at_four_times_the_capacity(result: OverloadResult) -> None:
    """A share of the same run's peak, so it does not depend on the speed of the machine."""
    assert result.goodput == result.steps[-1].goodput
    assert result.goodput >= MIN_SHARE * result.peak_goodput > 0
