"""Decisions of the scaling policy for loads over time."""

from dataclasses import replace

import pytest

from serve.capacity.policy import Decision, Policy, Settings
from serve.capacity.signals import DetectorLoad, ResponderLoad, Signals

SETTINGS = Settings(busy=0.5, hold_s=100, start_s=50, idle_s=300, detector_busy=0.5)
QUIET = Signals(0, (ResponderLoad(slots=10),), (DetectorLoad(),), 0, 1, 1)


def signals(running: float, replicas: int = 1, now_s: float = 0, rate: float = 1) -> Signals:
    """Return signals of equal replicas that run that many answers together."""
    load = ResponderLoad(running=running / replicas, slots=10, arrivals_per_s=rate / replicas)
    return replace(QUIET, now_s=now_s, responders=(load,) * replicas, responder_target=replicas)


def test_as_many_responders_as_half_full_batches_hold_the_answers() -> None:
    assert Policy(SETTINGS).decide(signals(9, replicas=2)).responders == 2
    assert Policy(SETTINGS).decide(signals(11, replicas=2)).responders == 3


def test_waiting_answers_count_like_running_ones() -> None:
    load = ResponderLoad(running=5, waiting=6, slots=10)
    both = replace(QUIET, responders=(load, load), responder_target=2)
    assert Policy(SETTINGS).decide(both).responders == 4  # 5 are wanted, at most the double comes


def test_an_increase_is_at_most_the_double() -> None:
    assert Policy(SETTINGS).decide(signals(1000, replicas=3)).responders == 6


def test_growth_of_the_rate_brings_replicas_before_the_load() -> None:
    steady, growing = Policy(SETTINGS), Policy(SETTINGS)
    for second in range(0, 60, 5):
        load = signals(18, replicas=4, now_s=second)
        flat = steady.decide(signals(18, 4, second, rate=100))
        rising = growing.decide(signals(18, 4, second, rate=100 + 2 * second))
        assert load.now_s == second
    assert flat.responders == 4
    assert rising.responders >= 6


def test_chance_is_no_growth() -> None:
    policy = Policy(SETTINGS)
    rates = [10, 11, 9, 10, 12, 10, 11, 12]
    decisions = [policy.decide(signals(18, 4, 5 * at, rate)) for at, rate in enumerate(rates)]
    assert {each.responders for each in decisions} == {4}


def test_fewer_replicas_only_after_they_were_enough_for_a_while() -> None:
    policy = Policy(SETTINGS)
    policy.decide(signals(40, replicas=8, now_s=0))
    targets, target = {}, 8
    for second in range(10, 300, 10):
        target = policy.decide(signals(8, replicas=target, now_s=second)).responders
        targets[second] = target
    assert targets[90] == 8
    assert targets[110] == 6  # a quarter at once
    assert targets[150] == 6
    assert targets[160] == 5  # and the next after the time of a start
    assert min(targets.values()) >= 2


def test_late_answers_make_the_fleet_larger_for_the_same_load() -> None:
    policy = Policy(SETTINGS)
    late = ResponderLoad(running=5, slots=10, arrivals_per_s=1, ttft_ms=5000)
    for second in range(0, 40, 5):
        decision = policy.decide(
            replace(QUIET, now_s=second, responders=(late,) * 4, responder_target=4)
        )
    assert decision.responders > 4


def test_both_deployments_start_when_a_request_is_held() -> None:
    asleep = Signals(0, (), (), 0, 0, 0)
    policy = Policy(SETTINGS)
    assert policy.decide(asleep) == Decision(0, 0)
    assert policy.decide(replace(asleep, now_s=1, held=1)) == Decision(1, 1)


def test_nothing_is_needed_after_a_long_silence_and_not_before() -> None:
    policy = Policy(SETTINGS)
    policy.decide(signals(1))
    assert policy.decide(replace(QUIET, now_s=299)) == Decision(1, 1)
    assert policy.decide(replace(QUIET, now_s=300)) == Decision(0, 0)


def test_detectors_follow_the_time_that_they_compute() -> None:
    busy = replace(QUIET, detectors=(DetectorLoad(0.9, 100),) * 2, detector_target=2)
    assert Policy(SETTINGS).decide(busy).detectors == 4


def test_classification_alone_wakes_no_responder() -> None:
    busy = replace(QUIET, detectors=(DetectorLoad(0.9, 100),) * 2, detector_target=2)
    policy = Policy(SETTINGS)
    decisions = [policy.decide(replace(busy, now_s=now_s)) for now_s in range(0, 200, 10)]
    assert {each.responders for each in decisions} == {1}


@pytest.mark.parametrize("running", [0, 3, 1e6])
def test_the_same_signals_give_the_same_decision(running: float) -> None:
    load = signals(running)
    assert Policy(SETTINGS).decide(load) == Policy(SETTINGS).decide(load)
