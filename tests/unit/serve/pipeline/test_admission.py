"""The gate: who is let in, who is refused, and what the refused are told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.capacity import derive_gates
from serve.config import Replicas, ServeConfig
from serve.errors import Overloaded, RateLimited
from serve.pipeline.admission import Gate


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def served(gate: Gate, clock: Clock, times: int, each_s: float) -> None:
    """As many pass, one after the other."""
    for _ in range(times):
        with gate.enter():
            clock.now_s += each_s


def test_as_many_as_the_limit_are_inside_and_the_next_is_refused() -> None:
    gate = Gate(limit=2, served=1)
    with gate.enter(), gate.enter():
        with pytest.raises(Overloaded), gate.enter():
            pytest.fail("a third was let in")
        assert gate.inside == 2
    with gate.enter():
        assert gate.inside == 1


def test_a_place_is_given_back_whatever_happens() -> None:
    gate = Gate(limit=1, served=1)
    with pytest.raises(ZeroDivisionError), gate.enter():
        raise ZeroDivisionError
    assert gate.inside == 0


def test_weights_add_up() -> None:
    gate = Gate(limit=10, served=1)
    with gate.enter(7):
        with pytest.raises(Overloaded), gate.enter(4):
            pass
        with gate.enter(3):
            assert gate.inside == 10


def test_retry_after_is_the_queue_over_the_service_rate() -> None:
    clock = Clock()
    gate = Gate(limit=100, served=2, clock_s=clock)
    served(gate, clock, times=10, each_s=0.5)  # two a second
    with gate.enter(12):  # ten of them wait
        assert gate.retry_after_s() == 5


def test_who_is_refused_further_on_does_not_make_the_service_look_fast() -> None:
    clock = Clock()
    gate = Gate(limit=100, served=2, clock_s=clock)
    served(gate, clock, times=10, each_s=0.5)
    for _ in range(20):
        with pytest.raises(RateLimited), gate.enter():
            raise RateLimited("this key has used up its minute")
    with gate.enter(12):
        assert gate.retry_after_s() == 5


def test_a_new_gate_says_soon_and_one_that_stands_still_says_late() -> None:
    clock = Clock()
    gate = Gate(limit=9, served=1, clock_s=clock)
    assert gate.retry_after_s() == 1
    served(gate, clock, times=2, each_s=1)
    with gate.enter(9):
        clock.now_s += 1000
        assert gate.retry_after_s() == 60


@given(st.lists(st.integers(1, 5), max_size=40), st.integers(1, 12))
def test_never_more_inside_than_the_limit(weights: list[int], limit: int) -> None:
    gate, inside = Gate(limit, served=1), []
    for weight in weights:
        place = gate.enter(weight)
        if gate.inside + weight > limit:
            with pytest.raises(Overloaded):
                place.__enter__()
        else:
            place.__enter__()
            inside.append(place)
        assert gate.inside <= limit
    for place in inside:
        place.__exit__(None, None, None)
    assert gate.inside == 0


def test_gates_hold_what_the_stages_can_when_scaled_up_and_share_it_among_ingresses() -> None:
    config = ServeConfig()
    responder = config.responder.model_copy(update={"replicas": Replicas(minimum=1, maximum=3)})
    ingress = config.ingress.model_copy(update={"replicas": Replicas(minimum=2, maximum=2)})
    gates = derive_gates(config.model_copy(update={"responder": responder, "ingress": ingress}))
    assert gates.answers == (3 * (32 + 64) // 2, 3 * 32 // 2)
    assert gates.texts == ((32 + 1024) // 2, 16)


def test_the_largest_call_always_fits_an_empty_gate() -> None:
    config = ServeConfig()
    ingress = config.ingress.model_copy(update={"replicas": Replicas(minimum=50, maximum=50)})
    assert derive_gates(config.model_copy(update={"ingress": ingress})).texts[0] == 256
