"""The overload test in a short form: who is refused is told when to return, all others are answered, and nothing is left running."""

import asyncio

import pytest

from load.harness.graph import running
from load.harness.ports import free_port
from load.sweep.overload import Overload, Times, config_of, overload


@pytest.fixture(scope="module")
def result() -> Overload:
    config = config_of("scripted")
    with running(config, free_port()) as graph:
        return asyncio.run(overload(graph, config, Times(warm_s=2, measure_s=5)))


def test_whoever_is_refused_is_told_when_to_return(result: Overload) -> None:
    assert result.steps[-1].refused > 0
    assert [step.refused_without_retry_after for step in result.steps] == [0] * len(result.steps)


def test_whoever_is_let_in_is_answered_rightly(result: Overload) -> None:
    for step in result.steps:
        assert step.ends["ok"] > 0
        assert {end for end, count in step.ends.items() if count} <= {"ok", "refused"}


def test_nothing_is_left_running(result: Overload) -> None:
    assert result.left_running == 0


def test_a_place_is_refused_only_when_there_are_more_than_can_be_served(result: Overload) -> None:
    assert result.steps[0].refused == 0
    assert result.steps[0].offered < result.capacity


def test_broken_promises_are_named(result: Overload) -> None:
    broken = result.model_copy(update={"goodput": 0.0, "left_running": 3, "refused_without_retry_after": 2, "p99_accepted_s": 1e9})
    promised = set(result.failures())
    assert len(set(broken.failures()) - promised) == 4
    late = result.model_copy(update={"steps": [*result.steps[:-1], result.steps[-1].model_copy(update={"client_late_s": 2.0})]})
    assert "the client itself was 2.0 s late" in late.failures()
