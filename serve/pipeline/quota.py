"""Quota of an API key: concurrent requests, requests and tokens a minute.

Token buckets (Turner 1986), full at the start. Limits hold for each responder replica.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from serve.errors import RateLimited

MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """Limits of one key; None is unlimited."""

    name: str
    concurrent: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


class Bucket:
    """Bucket that holds one minute's amount and refills at that rate."""

    def __init__(self, per_minute: int, clock_s: Callable[[], float]) -> None:
        """Start full."""
        self._capacity = float(per_minute)
        self._level = self._capacity
        self._clock_s = clock_s
        self._updated_s = clock_s()

    def wait_s(self, amount: float) -> float:
        """Return seconds until `amount` can be taken; infinite if it never can."""
        now_s = self._clock_s()
        refill = (now_s - self._updated_s) * self._capacity / MINUTE_S
        self._level = min(self._capacity, self._level + refill)
        self._updated_s = now_s
        if amount > self._capacity:
            return math.inf
        return max(amount - self._level, 0) * MINUTE_S / self._capacity

    def take(self, amount: float) -> None:
        """Remove `amount`."""
        self._level -= amount


class Quota:
    """Usage of every key seen so far. A key whose limits have changed starts again."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        """Start without any usage."""
        self._clock_s = clock_s
        self._usage: dict[KeyLimits, _Usage] = {}

    @contextmanager
    def enter(self, limits: KeyLimits | None, tokens: int) -> Iterator[None]:
        """Count one request and its tokens until the block ends.

        Raises:
            RateLimited: a limit is reached; then nothing is used up.
        """
        if limits is None:
            yield
            return
        usage = self._usage.setdefault(limits, _Usage(limits, self._clock_s))
        usage.admit(tokens)
        try:
            yield
        finally:
            usage.ongoing -= 1


class _Usage:
    def __init__(self, limits: KeyLimits, clock_s: Callable[[], float]) -> None:
        self._limits = limits
        self.ongoing = 0
        self._requests = _bucket(limits.requests_per_minute, clock_s)
        self._tokens = _bucket(limits.tokens_per_minute, clock_s)

    def admit(self, tokens: int) -> None:
        concurrent = self._limits.concurrent
        if concurrent is not None and self.ongoing >= concurrent:
            raise RateLimited(f"this key allows {concurrent} concurrent requests", 1)
        needs = [(self._requests, 1), (self._tokens, tokens)]
        wanted = [(bucket, amount) for bucket, amount in needs if bucket is not None]
        wait_s = max((bucket.wait_s(amount) for bucket, amount in wanted), default=0.0)
        if math.isinf(wait_s):
            raise RateLimited(f"this key never allows {tokens} tokens in one answer", MINUTE_S)
        if wait_s > 0:
            raise RateLimited("this key has used its quota of this minute", math.ceil(wait_s))
        for bucket, amount in wanted:
            bucket.take(amount)
        self.ongoing += 1


def _bucket(per_minute: int | None, clock_s: Callable[[], float]) -> Bucket | None:
    return Bucket(per_minute, clock_s) if per_minute else None
