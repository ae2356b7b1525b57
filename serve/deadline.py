"""Ends of requests before they are complete: at their deadline, or when the server stops.

The awaiting task is cancelled then, which cancels the work in every deployment.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serve.errors import DeadlineExceeded, NotReady


@asynccontextmanager
async def deadline(deadline_s: float) -> AsyncIterator[None]:
    """Cancel the block at `deadline_s` of `time.monotonic`. Raises DeadlineExceeded then."""
    clock = asyncio.timeout(max(deadline_s - time.monotonic(), 0))
    try:
        async with clock:
            yield
    except TimeoutError as error:
        if not clock.expired():
            raise
        raise DeadlineExceeded(
            "the request timed out; send a larger x-request-timeout-ms"
        ) from error


class RunningRequests:
    """Requests of one replica, which end together when the server stops."""

    def __init__(self) -> None:
        """Start without any."""
        self._clocks: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Cancel the block at `end_all`. Raises NotReady then."""
        clock = asyncio.timeout(None)
        try:
            async with clock:
                self._clocks.add(clock)
                yield
        except TimeoutError as error:
            if not clock.expired():
                raise
            raise NotReady("the server stops; send the request again later") from error
        finally:
            self._clocks.discard(clock)

    def end_all(self) -> None:
        """End the blocks that run now."""
        now_s = asyncio.get_running_loop().time()
        for clock in self._clocks:
            clock.reschedule(now_s)
