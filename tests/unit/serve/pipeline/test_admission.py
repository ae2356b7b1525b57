"""Admission control: the capacity of a gate, and Retry-After of what it rejects."""

from contextlib import AbstractContextManager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.capacity import GateLimits
from serve.errors import DeadlineExceeded, Overloaded, RateLimited
from serve.pipeline.admission import Gate
from support.fakes import FakeClock


def pass_through(gate: Gate, clock: FakeClock, times: int, each_s: float) -> None:
    """Serve requests one after the other."""
    for _ in range(times):
        with gate.enter():
            clock.now_s += each_s


def test_admits_up_to_its_limit() -> None:
    gate = Gate(GateLimits(2, 1))
    with gate.enter(), gate.enter():
        with pytest.raises(Overloaded), gate.enter():
            pytest.fail("a third request was admitted")
        assert gate.admitted == 2
    with gate.enter():
        assert gate.admitted == 1


def test_rejected_request_can_retry_after_a_second() -> None:
    gate = Gate(GateLimits(1, 1))
    with gate.enter(), pytest.raises(Overloaded) as rejected, gate.enter():
        pytest.fail("a second request was admitted")
    assert rejected.value.retry_after_s == 1


def test_frees_capacity_after_an_error() -> None:
    gate = Gate(GateLimits(1, 1))
    with pytest.raises(ZeroDivisionError), gate.enter():
        raise ZeroDivisionError
    assert gate.admitted == 0


def test_weights_add_up() -> None:
    gate = Gate(GateLimits(10, 1))
    with gate.enter(7):
        with pytest.raises(Overloaded), gate.enter(4):
            pytest.fail("11 of 10 were admitted")
        with gate.enter(3):
            assert gate.admitted == 10


def test_retry_after_is_queue_length_divided_by_service_rate() -> None:
    clock = FakeClock()
    gate = Gate(GateLimits(100, 2), clock)
    pass_through(gate, clock, times=10, each_s=0.5)  # two a second
    with gate.enter(12):  # ten of them wait
        assert gate.retry_after_s() == 5


def test_service_rate_counts_weights() -> None:
    clock = FakeClock()
    gate = Gate(GateLimits(100, 2), clock)
    for _ in range(10):
        with gate.enter(4):
            clock.now_s += 2
    with gate.enter(12):
        assert gate.retry_after_s() == 5


@pytest.mark.parametrize(
    ("error", "retry_after_s"), [(RateLimited("quota"), 5), (DeadlineExceeded("late"), 1)]
)
def test_requests_rejected_downstream_do_not_count_as_served(
    error: Exception, retry_after_s: int
) -> None:
    """A request that timed out has occupied the gate, so it counts."""
    clock = FakeClock()
    gate = Gate(GateLimits(100, 2), clock)
    pass_through(gate, clock, times=10, each_s=0.5)
    for _ in range(200):
        with pytest.raises(type(error)), gate.enter():
            raise error
    with gate.enter(11):
        clock.now_s += 0.1
        assert gate.retry_after_s() == retry_after_s


def test_idle_time_does_not_slow_the_rate() -> None:
    clock = FakeClock()
    gate = Gate(GateLimits(100, 2), clock)
    pass_through(gate, clock, times=10, each_s=0.5)
    clock.now_s += 3600
    with gate.enter(12):
        assert gate.retry_after_s() == 5


def test_retry_after_has_bounds() -> None:
    clock = FakeClock()
    gate = Gate(GateLimits(9, 1), clock)
    assert gate.retry_after_s() == 1
    pass_through(gate, clock, times=2, each_s=1)
    with gate.enter(9):
        clock.now_s += 1000
        assert gate.retry_after_s() == 60


def test_retry_after_is_long_once_one_request_was_served_without_a_rate() -> None:
    clock = FakeClock()
    gate = Gate(GateLimits(9, 1), clock)
    pass_through(gate, clock, times=1, each_s=1)
    assert gate.retry_after_s() == 60


@given(st.lists(st.integers(1, 5), max_size=40), st.integers(1, 12))
def test_never_admits_more_than_the_limit(weights: list[int], limit: int) -> None:
    gate = Gate(GateLimits(limit, 1))
    entered = list[AbstractContextManager[None]]()
    for weight in weights:
        entry: AbstractContextManager[None] = gate.enter(weight)
        if gate.admitted + weight > limit:
            with pytest.raises(Overloaded):
                entry.__enter__()
        else:
            entry.__enter__()
            entered.append(entry)
        assert gate.admitted <= limit
    for inside in entered:
        inside.__exit__(None, None, None)
    assert gate.admitted == 0
