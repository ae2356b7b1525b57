"""Meters of a replica's load, with a clock that the test moves."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from serve.capacity.meters import DetectorMeter, Recent, ResponderMeter
from serve.capacity.signals import ResponderLoad
from support.fakes import FakeClock


def test_values_count_for_the_window_only() -> None:
    clock = FakeClock()
    recent = Recent(window_s=10, clock_s=clock)
    for _ in range(20):
        clock.pass_ms(1000)
        recent.add(3)
    assert recent.per_s() == pytest.approx(3, rel=0.15)
    clock.pass_ms(11_000)
    assert recent.per_s() == 0
    assert recent.percentile() == 0


def test_a_meter_that_has_just_started_does_not_dilute_its_rate() -> None:
    clock = FakeClock()
    recent = Recent(window_s=100, clock_s=clock)
    clock.pass_ms(10_000)
    recent.add(20)
    assert recent.per_s() == pytest.approx(2)


def test_requests_that_waited_for_a_cold_start_are_not_a_rate() -> None:
    clock = FakeClock()
    recent = Recent(clock_s=clock)
    clock.pass_ms(200)
    for _ in range(40):
        recent.add()
    assert recent.per_s() == 8  # over 5 s at least


def test_what_waits_in_the_engine_waits() -> None:
    load = ResponderMeter(FakeClock()).load(running=96, admitted=96, slots=32)
    assert (load.running, load.waiting) == (32, 64)


def test_a_thread_may_add_while_another_reads() -> None:
    """A reader that drops old values must not race with one that adds."""
    recent = Recent(window_s=0.0001)

    def add() -> None:
        for _ in range(5000):
            recent.add()

    with ThreadPoolExecutor(1) as thread:
        adding = thread.submit(add)
        while not adding.done():
            assert recent.percentile() in (0, 1)
        adding.result()


def test_percentile_is_the_value_that_a_share_does_not_exceed() -> None:
    recent = Recent(clock_s=FakeClock())
    for value in range(1, 101):
        recent.add(value)
    assert recent.percentile(0.95) == 95


def test_responder_load_has_arrivals_and_late_first_texts() -> None:
    clock = FakeClock()
    meter = ResponderMeter(clock)
    clock.pass_ms(10_000)
    with meter.answer(lambda: 700.0):
        pass
    with pytest.raises(ValueError, match="rejected"), meter.answer(lambda: None):
        raise ValueError("rejected")
    load = meter.load(running=3, admitted=5, slots=8)
    assert load == ResponderLoad(3, 2, 8, 0.4, 700.0)
    assert ResponderLoad.read(load.report()) == load


def test_detector_load_is_the_share_of_time_in_batches() -> None:
    clock = FakeClock()
    meter = DetectorMeter(clock)
    with meter.batch(30):
        clock.pass_ms(1000)
    clock.pass_ms(7000)
    assert meter.load().busy == pytest.approx(0.125)
    assert meter.load().texts_per_s == pytest.approx(3.75)
