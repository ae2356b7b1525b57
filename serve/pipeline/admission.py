"""How many are let in at once, and when those who are refused should come back. It does not know what they ask for.

Refusing early costs next to nothing, and is what keeps the answers of the others fast under overload.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from serve.errors import TOO_MANY, ComeBackLater, Overloaded

REMEMBERED = 64  # departures from which the service rate is taken
RETRY_S = 1, 60


@dataclass(frozen=True, slots=True)
class Gates:
    """The two gates of an ingress replica, for answers and for texts to detect: each its limit, and how many are served at once."""

    answers: tuple[int, int]
    texts: tuple[int, int]


class Gate:
    """Lets in a weight of at most `limit`, of which `served` are worked on at once and the rest wait."""

    def __init__(self, limit: int, served: int, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._served, self._clock_s = limit, served, clock_s
        self._departures: deque[tuple[float, int]] = deque(maxlen=REMEMBERED)
        self.inside = 0

    @contextmanager
    def enter(self, weight: int = 1) -> Iterator[None]:
        """Holds a place until the block ends. Raises Overloaded.

        Who is refused further on was not served, and tells nothing of the rate.
        """
        if self.inside + weight > self._limit:
            raise Overloaded(TOO_MANY, self.retry_after_s())
        self.inside += weight
        served = True
        try:
            yield
        except ComeBackLater:
            served = False
            raise
        finally:
            self.inside -= weight
            if served:
                self._departures.append((self._clock_s(), weight))

    def retry_after_s(self) -> int:
        """Seconds in which those who wait are served at the rate of late; Little's law."""
        least, most = RETRY_S
        waiting, rate = max(self.inside - self._served, 1), self._rate()
        return min(max(math.ceil(waiting / rate), least), most) if rate else most if self._departures else least

    def _rate(self) -> float:
        """Weight that left a second, over the departures that are remembered; 0 if that cannot be told."""
        if len(self._departures) < 2:
            return 0.0
        took_s = self._clock_s() - self._departures[0][0]
        return sum(weight for _, weight in list(self._departures)[1:]) / took_s if took_s > 0 else 0.0
