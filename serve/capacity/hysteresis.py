"""Rates of change of one deployment: growth by steps, and reductions that wait."""

import math
from collections import deque

from serve.capacity.settings import Settings


class Hysteresis:
    """Number of replicas of one deployment, held back from what is wanted at the moment."""

    def __init__(self, settings: Settings) -> None:
        """Start without a past: nothing is removed before it has seen `hold_s`."""
        self._settings = settings
        self._wanted: deque[tuple[float, int]] = deque()
        self._first_s: float | None = None
        self._reduced_s = -math.inf

    def step(self, now_s: float, target: int, wanted: int) -> int:
        """Return the replicas to have next, where `target` is what Serve works towards."""
        if self._first_s is None:
            self._first_s = now_s
        self._wanted.append((now_s, wanted))
        while self._wanted[0][0] < now_s - self._settings.hold_s:
            self._wanted.popleft()
        if wanted > target:
            return min(wanted, max(math.ceil(target * self._settings.step_up), 1))
        most = max(each for _, each in self._wanted)
        if most >= target or not self._may_reduce(now_s, self._first_s):
            return target
        self._reduced_s = now_s
        return max(most, target - max(int(target * self._settings.step_down), 1))

    def _may_reduce(self, now_s: float, first_s: float) -> bool:
        """Return whether it has seen enough, and the last reduction is long enough ago."""
        settings = self._settings
        return now_s - first_s >= settings.hold_s and now_s - self._reduced_s >= settings.start_s
