"""Admission control: how much a replica works on at once, and when a rejected client may retry.

Rejecting early is cheap and keeps the admitted answers fast under overload. A gate does not know
the content of a request.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from serve.capacity import GateLimits
from serve.errors import TOO_MANY, Overloaded, RetryLater

DEPARTURES = 64  # from which the service rate is estimated
MIN_RETRY_S = 1
MAX_RETRY_S = 60


class Gate:
    """Gate that admits a weight of at most `limits.admitted`, `limits.served` of it at once."""

    def __init__(self, limits: GateLimits, clock_s: Callable[[], float] = time.monotonic) -> None:
        """Start empty."""
        self._limits = limits
        self._clock_s = clock_s
        self._departures: deque[tuple[float, int]] = deque(maxlen=DEPARTURES)
        self._busy_s = 0.0  # time in which anything was admitted
        self._updated_s = clock_s()
        self.admitted = 0

    @contextmanager
    def enter(self, weight: int = 1) -> Iterator[None]:
        """Hold capacity until the block ends.

        Raises:
            Overloaded: there is not enough capacity left.
        """
        if self.admitted + weight > self._limits.admitted:
            raise Overloaded(TOO_MANY, self.retry_after_s())
        self._add_busy_time()
        self.admitted += weight
        served = True
        try:
            yield
        except RetryLater:
            served = False  # rejected downstream: it does not count toward the service rate
            raise
        finally:
            self._add_busy_time()
            self.admitted -= weight
            if served:
                self._departures.append((self._busy_s, weight))

    def retry_after_s(self) -> int:
        """Return seconds until the queue is served at the current rate (Little's law)."""
        queued = max(self.admitted - self._limits.served, 1)
        rate = self._rate_per_s()
        if rate:
            return min(max(math.ceil(queued / rate), MIN_RETRY_S), MAX_RETRY_S)
        return MAX_RETRY_S if self._departures else MIN_RETRY_S

    def _add_busy_time(self) -> None:
        now_s = self._clock_s()
        if self.admitted:
            self._busy_s += now_s - self._updated_s
        self._updated_s = now_s

    def _rate_per_s(self) -> float:
        """Return the weight that departed per busy second; 0 if there is no estimate."""
        if len(self._departures) < 2:
            return 0.0
        self._add_busy_time()
        elapsed_s = self._busy_s - self._departures[0][0]
        departed = sum(weight for _, weight in list(self._departures)[1:])
        return departed / elapsed_s if elapsed_s > 0 else 0.0
