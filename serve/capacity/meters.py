"""Meters of the load of one replica over the last seconds."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from serve.capacity.signals import PERCENTILE, PERIOD_S, DetectorLoad, ResponderLoad

WINDOW_S = 20.0
SHORTEST_S = 5.0  # a rate is not measured over less, as just after a start
Clock = Callable[[], float]


class Recent:
    """Values of the last seconds. A thread may add while another reads."""

    def __init__(self, window_s: float = WINDOW_S, clock_s: Clock = time.monotonic) -> None:
        """Start empty."""
        self._window_s = window_s
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._values: deque[tuple[float, float]] = deque()
        self._started_s = clock_s()

    def add(self, value: float = 1) -> None:
        """Remember a value."""
        with self._lock:
            self._values.append((self._clock_s(), value))
            self._drop_old()

    def per_s(self) -> float:
        """Return the sum of the values divided by the time in which they were added."""
        elapsed_s = min(self._window_s, max(self._clock_s() - self._started_s, SHORTEST_S))
        return sum(self._recent()) / elapsed_s

    def percentile(self, share: float = PERCENTILE) -> float:
        """Return the value below which that share lies; 0 if there is none."""
        values = sorted(self._recent())
        return values[max(math.ceil(share * len(values)) - 1, 0)] if values else 0.0

    def _recent(self) -> list[float]:
        with self._lock:
            self._drop_old()
            return [value for _, value in self._values]

    def _drop_old(self) -> None:
        oldest_s = self._clock_s() - self._window_s
        while self._values and self._values[0][0] < oldest_s:
            self._values.popleft()


class ResponderMeter:
    """Arrivals and times to the first text of one responder replica."""

    def __init__(self, clock_s: Clock = time.monotonic) -> None:
        """Start empty."""
        self._arrivals = Recent(PERIOD_S, clock_s)
        self._ttft_ms = Recent(clock_s=clock_s)

    @contextmanager
    def answer(self, ttft_ms: Callable[[], float | None]) -> Iterator[None]:
        """Count a message, and its time to the first text when the block ends, if there was one."""
        self.add_arrival()
        try:
            yield
        finally:
            took_ms = ttft_ms()
            if took_ms is not None:
                self.add_ttft(took_ms)

    def add_arrival(self) -> None:
        """Count a message."""
        self._arrivals.add()

    def add_ttft(self, took_ms: float) -> None:
        """Remember the time to the first text of an answer."""
        self._ttft_ms.add(took_ms)

    def load(self, running: int, admitted: int, slots: int) -> ResponderLoad:
        """Return the load, with what the engine and the gate know.

        Engines also count as running what waits in them for a slot of their batch.
        """
        running = min(running, slots)
        return ResponderLoad(
            running=running,
            waiting=max(admitted - running, 0),
            slots=slots,
            arrivals_per_s=self._arrivals.per_s(),
            ttft_ms=self._ttft_ms.percentile(),
        )


class DetectorMeter:
    """Time in which one detector replica computes, and its texts."""

    def __init__(self, clock_s: Clock = time.monotonic) -> None:
        """Start empty."""
        self._clock_s = clock_s
        self._busy_s = Recent(clock_s=clock_s)
        self._texts = Recent(clock_s=clock_s)

    @contextmanager
    def batch(self, texts: int) -> Iterator[None]:
        """Measure a batch until the block ends."""
        began_s = self._clock_s()
        try:
            yield
        finally:
            self._busy_s.add(self._clock_s() - began_s)
            self._texts.add(texts)

    def load(self) -> DetectorLoad:
        """Return the load."""
        return DetectorLoad(min(self._busy_s.per_s(), 1.0), self._texts.per_s())
