"""Overload test in a short form."""

import asyncio

import pytest

from load.harness.graph import running_graph
from load.harness.ports import free_port
from load.sweep.overload import Times, config_of, run_overload
from load.sweep.overload_result import OverloadResult


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


def test_rejects_nothing_below_capacity(result: OverloadResult) -> None:
    assert result.steps[0].rejected == 0
    assert result.steps[0].offered < result.capacity
