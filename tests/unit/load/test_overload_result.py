"""Promises of the overload test."""

from typing import Any

import pytest

from load.harness.outcomes import ENDS
from load.sweep.overload_result import OverloadResult, Step

STEP = Step(
    offered=8,
    goodput=1.9,
    p50_accepted_s=2,
    p99_accepted_s=4,
    rejected=30,
    rejected_without_retry_after=0,
    ends=dict.fromkeys(ENDS, 0) | {"ok": 10, "rejected": 30},
    client_lateness_s=0.01,
)
RESULT = OverloadResult(
    engine="scripted",
    capacity=2,
    offered=8,
    goodput=1.9,
    peak_goodput=2,
    p99_accepted_s=4,
    p99_bound_s=5,
    rejected=30,
    rejected_without_retry_after=0,
    left_running=0,
    steps=[STEP],
)


def test_no_failure_if_all_promises_are_kept() -> None:
    assert RESULT.failures() == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"goodput": 0.0}, "goodput"),
        ({"p99_accepted_s": 1e9}, "p99"),
        ({"rejected_without_retry_after": 2}, "Retry-After"),
        ({"left_running": 3}, "still generated"),
        ({"rejected": 0}, "no request was rejected"),
        ({"steps": [STEP.model_copy(update={"client_lateness_s": 2.0})]}, "late"),
        ({"steps": [STEP.model_copy(update={"ends": STEP.ends | {"lost": 1}})]}, "lost"),
    ],
)
def test_reports_a_broken_promise(changes: dict[str, Any], message: str) -> None:
    [failure] = RESULT.model_copy(update=changes).failures()
    assert message in failure
