"""Items of a generator in a thread: order, errors, and the end of the thread."""

import signal
import threading
from collections.abc import Callable, Generator

import pytest

from serve.batch.background import BackgroundItems


class Stopped(BaseException):
    """Raised by a signal handler."""


def numbers(closed: threading.Event, count: int | None = None) -> Generator[int, None, None]:
    number = 0
    try:
        while count is None or number < count:
            yield number
            number += 1
    finally:
        closed.set()


def test_all_items_come_in_order_and_the_end_stays_the_end() -> None:
    with BackgroundItems(numbers(threading.Event(), 100)) as items:
        assert list(items) == list(range(100))
        assert list(items) == []


def test_error_of_the_generator_is_raised_after_its_items() -> None:
    def failing() -> Generator[int, None, None]:
        yield 1
        raise ValueError("broken")

    with BackgroundItems(failing()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="broken"):
            next(items)
        assert list(items) == []


@pytest.mark.parametrize("taken", [0, 3, 30])
def test_leaving_ends_a_generator_that_has_more(taken: int) -> None:
    closed = threading.Event()
    with BackgroundItems(numbers(closed)) as items:
        for number in range(taken):
            assert next(items) == number
    assert closed.is_set()


def test_leaving_by_an_exception_ends_the_generator() -> None:
    closed = threading.Event()
    with pytest.raises(KeyError), BackgroundItems(numbers(closed)):
        raise KeyError
    assert closed.is_set()


@pytest.fixture
def interrupt() -> Generator[Callable[[], None], None, None]:
    def stop(number: int, frame: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGUSR1, stop)
    main = threading.main_thread().ident
    assert main is not None
    yield lambda: signal.pthread_kill(main, signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


def test_signal_stops_the_one_who_waits_and_not_the_generator(
    interrupt: Callable[[], None],
) -> None:
    go, release = threading.Event(), threading.Event()
    seen: list[BaseException | None] = []

    def waiting() -> Generator[int, None, None]:
        assert go.wait(60)
        interrupt()
        try:
            assert release.wait(60)
            seen.append(None)
        except BaseException as error:  # noqa: BLE001 (looked at below)
            seen.append(error)
        yield 1

    items = BackgroundItems(waiting())

    def wait() -> None:
        with items:
            go.set()
            next(items)

    with pytest.raises(Stopped):
        wait()
    release.set()
    assert next(items) == 1
    assert seen == [None]
