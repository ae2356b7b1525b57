"""Decisions of the scaling policy for loads over time."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from serve.capacity.meters import ResponderMeter
from serve.capacity.policy import Decision, Policy
from serve.capacity.settings import Settings
from serve.capacity.signals import PERIOD_S, DetectorLoad, ResponderLoad, Signals
from support.fakes import FakeClock

INTERVAL_S = 0.1  # of Serve's controller
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
    assert policy.decide(replace(asleep, now_s=PERIOD_S, held=1)) == Decision(1, 1)


def test_nothing_is_needed_after_a_long_silence_and_not_before() -> None:
    policy = Policy(SETTINGS)
    policy.decide(signals(1))
    assert policy.decide(replace(QUIET, now_s=295)) == Decision(1, 1)
    assert policy.decide(replace(QUIET, now_s=300)) == Decision(0, 0)


def test_detectors_follow_the_time_that_they_compute() -> None:
    busy = replace(QUIET, detectors=(DetectorLoad(0.9, 100),) * 2, detector_target=2)
    assert Policy(SETTINGS).decide(busy).detectors == 4


def test_classification_alone_wakes_no_responder() -> None:
    busy = replace(QUIET, detectors=(DetectorLoad(0.9, 100),) * 2, detector_target=2)
    policy = Policy(SETTINGS)
    decisions = [policy.decide(replace(busy, now_s=now_s)) for now_s in range(0, 200, 10)]
    assert {each.responders for each in decisions} == {1}


def classification(now_s: float, detectors: int) -> Signals:
    """Return signals of detectors that compute all the time while no answer is wanted."""
    load = (DetectorLoad(1.0, 100),) * detectors
    return replace(QUIET, now_s=now_s, detectors=load, detector_target=detectors)


def test_classification_alone_is_no_silence() -> None:
    policy = Policy(SETTINGS)
    detectors = 2
    for now_s in range(0, 900, 5):
        decision = policy.decide(classification(now_s, detectors))
        assert decision.responders == 1
        assert decision.detectors >= detectors
        detectors = min(decision.detectors, 32)
    assert detectors == 32


def moments(until_s: float, interval_s: float) -> Iterator[float]:
    return (at * interval_s for at in range(int(until_s / interval_s) + 1))


@pytest.mark.parametrize("interval_s", [INTERVAL_S, 1])
def test_decisions_do_not_depend_on_how_often_serve_asks(interval_s: float) -> None:
    """A fleet is late for a minute, then in time: the same replicas as if asked every 5 s."""

    def targets(each_s: float) -> list[int]:
        policy, target = Policy(SETTINGS), 8
        found: list[int] = []
        for now_s in moments(600, each_s):
            ttft_ms = 5000.0 if now_s < 60 else 100.0
            load = ResponderLoad(39.5 / target, 0, 10, 8 / target, ttft_ms)
            given = replace(
                QUIET, now_s=now_s, responders=(load,) * target, responder_target=target
            )
            target = policy.decide(given).responders
            if now_s % 20 < each_s / 2:
                found.append(target)
        return found

    expected = targets(PERIOD_S)
    assert max(expected) == 10  # 40 % of the slots
    assert expected[-1] == 8
    found = targets(interval_s)
    assert len(found) == len(expected)
    assert sum(map(int.__ne__, found, expected)) <= 2  # one decision later at most


@pytest.mark.parametrize("rate", [2, 20])
def test_a_constant_rate_is_no_growth(rate: float) -> None:
    """Arrivals by chance, through a replica's own meter, at the interval of Serve."""
    chance = random.Random(0)
    clock = FakeClock(0)
    meter = ResponderMeter(clock)
    policy = Policy(SETTINGS)
    arrival_s = chance.expovariate(rate)
    grown: set[int] = set()
    for now_s in moments(600, INTERVAL_S):
        while arrival_s <= now_s:
            clock.now_s = arrival_s
            meter.add_arrival()
            arrival_s += chance.expovariate(rate)
        clock.now_s = now_s
        load = meter.load(running=0, admitted=0, slots=10)
        # Just below what one more replica would be for.
        given = replace(signals(19.9, 4, now_s), responder_target=4)
        loads = (replace(given.responders[0], arrivals_per_s=load.arrivals_per_s / 4),) * 4
        if policy.decide(replace(given, responders=loads)).responders > 4:
            grown.add(int(now_s / PERIOD_S))
    assert len(grown) < 0.1 * 600 / PERIOD_S


def test_a_new_policy_removes_nothing_before_it_has_seen_enough() -> None:
    policy = Policy(SETTINGS)
    unseen = Signals(1e9, (), (), 0, 8, 32)
    assert policy.decide(unseen) == Decision(8, 32)
    seen = replace(signals(1, replicas=8), detectors=(DetectorLoad(),) * 32, detector_target=32)
    for now_s in range(5, 100, 5):
        assert policy.decide(replace(seen, now_s=1e9 + now_s)) == Decision(8, 32)
    after_s = 1e9 + 5 + SETTINGS.hold_s
    assert policy.decide(replace(seen, now_s=after_s)) == Decision(6, 24)


def test_reports_that_begin_late_are_no_growth() -> None:
    policy = Policy(SETTINGS)
    for now_s in range(0, 60, 5):
        policy.decide(replace(QUIET, now_s=now_s, responders=(), responder_target=4))
    given = [signals(19, 4, now_s, rate=100) for now_s in range(60, 120, 5)]
    assert {policy.decide(each).responders for each in given} == {4}


def test_detectors_are_reduced_once_in_the_time_of_a_start() -> None:
    policy = Policy(SETTINGS)
    detectors = 16
    reduced_s: list[float] = []
    for now_s in moments(300, INTERVAL_S):
        load = (DetectorLoad(0.5 if now_s < 5 else 0.02, 5),) * detectors
        given = replace(signals(3), now_s=now_s, detectors=load, detector_target=detectors)
        found = policy.decide(given).detectors
        if found < detectors:
            reduced_s.append(now_s)
            assert found >= detectors * 0.75
        detectors = found
    assert len(reduced_s) >= 3
    gaps = [later - earlier for earlier, later in itertools.pairwise(reduced_s)]
    assert min(gaps) >= SETTINGS.start_s


@pytest.mark.parametrize("running", [0, 3, 1e6])
def test_the_same_signals_give_the_same_decision(running: float) -> None:
    load = signals(running)
    assert Policy(SETTINGS).decide(load) == Policy(SETTINGS).decide(load)
