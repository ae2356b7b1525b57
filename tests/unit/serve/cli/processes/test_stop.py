"""Signals of the command: the first asks, the second hurries."""

import os
import signal
from collections.abc import Iterator

import pytest

from serve.cli.processes.stop import NUMBERS, Stop


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_first_signal_asks_and_second_hurries(number: signal.Signals) -> None:
    stop = Stop()
    stop.listen()
    assert not stop.asked.is_set()
    os.kill(os.getpid(), number)
    assert stop.asked.wait(60)
    assert not stop.hurried.is_set()
    os.kill(os.getpid(), number)
    assert stop.hurried.wait(60)
