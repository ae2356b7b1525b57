"""Verdict on a trial: the ends of requests that a fault allows."""

from typing import Any

import pytest

from load.chaos.trial import Trial
from load.chaos.verdict import CUT_WITHIN_S, MAX_LATENESS_S, Fault, judge
from load.harness.outcomes import End, Outcome
from models.emotions import Emotion


async def no_effect(_: object) -> str:
    return ""


HARMFUL = Fault("harmful", no_effect)
HARMLESS = Fault("harmless", no_effect, harmless=True)
CROWDED = Fault("crowded", no_effect, harmless=True, may_reject=True)
POISONED = Fault("poisoned", no_effect, may_fail=frozenset({"replica-failed"}))


STRUCK_S = 0.5


def outcome(end: End, status: int = 200, **more: Any) -> Outcome:
    times = {"started_s": 0, "ended_s": 1}
    return Outcome(emotion=Emotion.JOY, end=end, status=status, adapter="joy@1", **(times | more))


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (HARMFUL, outcome("ok")),
        (HARMFUL, outcome("failed_explicitly")),
        (HARMLESS, outcome("ok")),
        (CROWDED, outcome("rejected", 429)),
        (POISONED, outcome("failed_explicitly", 502, error="replica-failed")),
    ],
)
def test_accepts_ends_that_the_fault_allows(fault: Fault, found: Outcome) -> None:
    assert list(judge(fault, [found], STRUCK_S, lateness_s=0)) == []


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (HARMFUL, outcome("failed_explicitly", 502)),
        (HARMFUL, outcome("rejected", 429)),
        (HARMFUL, outcome("lost")),
        (HARMFUL, outcome("wrong")),
        (HARMFUL, outcome("hung")),
        (HARMLESS, outcome("failed_explicitly")),
        (POISONED, outcome("failed_explicitly", 504, error="deadline-exceeded")),
        (POISONED, outcome("lost", 502, error="replica-failed")),
    ],
)
def test_reports_other_ends(fault: Fault, found: Outcome) -> None:
    assert len(list(judge(fault, [found], STRUCK_S, lateness_s=0))) == 1


@pytest.mark.parametrize(
    ("ends_s", "problem"),
    [
        ((1, 1.2, CUT_WITHIN_S), None),
        ((9, 9 + CUT_WITHIN_S), None),  # of a replica that hung until Serve killed it
        ((1, 2 + CUT_WITHIN_S), "expected all at once"),
        ((0.4, 1), "before the fault"),
    ],
)
def test_only_the_death_of_a_replica_cuts_streams(
    ends_s: tuple[float, ...], problem: str | None
) -> None:
    cut = [outcome("failed_explicitly", ended_s=end_s) for end_s in ends_s]
    problems = list(judge(HARMFUL, [outcome("ok"), *cut], STRUCK_S, lateness_s=0))
    assert len(problems) == (problem is not None)
    assert all(str(problem) in found for found in problems)


@pytest.mark.parametrize(("others", "problems"), [(3, 0), (2, 1)])
def test_a_request_may_be_rejected_only_where_there_is_no_place(others: int, problems: int) -> None:
    fault = Fault("crash", no_effect, rejects_from=4)
    rejected = outcome("rejected", 429, started_s=10.0, ended_s=20.0)
    during = [outcome("ok", started_s=11.0 + number, ended_s=16.0) for number in range(others)]
    before_and_after = [
        outcome("ok", started_s=at_s, ended_s=at_s + 5) for at_s in (1.0, 2.0, 21.0)
    ]
    found = judge(fault, [rejected, *during, *before_and_after], struck_s=12, lateness_s=0)
    assert len(list(found)) == problems


def test_reports_a_fault_without_requests_in_flight() -> None:
    [problem] = judge(HARMFUL, [outcome("ok")], struck_s=2, lateness_s=0)
    assert "in flight" in problem


def test_reports_a_late_client() -> None:
    [problem] = judge(HARMFUL, [outcome("ok")], STRUCK_S, lateness_s=2 * MAX_LATENESS_S)
    assert "late" in problem


def test_counts_duplicated_text() -> None:
    twice = outcome("wrong", text="[joy@1] I hear [joy@1] I hear you")
    trial = Trial("harmful", [twice, outcome("wrong", text="[fear@1]")], "", 1, [])
    assert trial.duplicated == 1
    assert trial.row()["wrong"] == 2
