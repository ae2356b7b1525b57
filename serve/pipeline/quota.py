"""What one key may use: requests at once, requests and tokens a minute. Token buckets (Turner 1986), full at the start."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from serve.api.auth import Key
from serve.errors import RateLimited

MINUTE_S = 60


class Bucket:
    """Holds what may be used in a minute, and fills as fast."""

    def __init__(self, per_minute: int, clock_s: Callable[[], float]) -> None:
        self._most = self._left = float(per_minute)
        self._clock_s, self._looked_s = clock_s, clock_s()

    def wait_s(self, amount: float) -> float:
        """Until `amount` can be taken; infinite where it never can."""
        now_s = self._clock_s()
        self._left = min(self._most, self._left + (now_s - self._looked_s) * self._most / MINUTE_S)
        self._looked_s = now_s
        if amount > self._most:
            return math.inf
        return max(amount - self._left, 0) * MINUTE_S / self._most

    def take(self, amount: float) -> None:
        self._left -= amount


class Quota:
    """Of every key that has come by. A key whose limits have changed begins anew."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._used: dict[Key, _Used] = {}

    @contextmanager
    def enter(self, key: Key | None, tokens: int) -> Iterator[None]:
        """Holds one of the key's places until the block ends. Raises RateLimited, and then uses up nothing."""
        if key is None:
            yield
            return
        used = self._used.setdefault(key, _Used(key, self._clock_s))
        used.admit(tokens)
        try:
            yield
        finally:
            used.inside -= 1


class _Used:
    def __init__(self, key: Key, clock_s: Callable[[], float]) -> None:
        self._key, self.inside = key, 0
        self._requests = Bucket(key.requests_per_minute, clock_s) if key.requests_per_minute else None
        self._tokens = Bucket(key.tokens_per_minute, clock_s) if key.tokens_per_minute else None

    def admit(self, tokens: int) -> None:
        if self._key.concurrent is not None and self.inside >= self._key.concurrent:
            raise RateLimited(f"this key may have {self._key.concurrent} requests at once", 1)
        wanted = [(bucket, amount) for bucket, amount in ((self._requests, 1), (self._tokens, tokens)) if bucket is not None]
        wait_s = max((bucket.wait_s(amount) for bucket, amount in wanted), default=0.0)
        if math.isinf(wait_s):
            raise RateLimited(f"this key may never have {tokens} tokens in one answer; ask for fewer", MINUTE_S)
        if wait_s > 0:
            raise RateLimited("this key has used up its minute", math.ceil(wait_s))
        for bucket, amount in wanted:
            bucket.take(amount)
        self.inside += 1
