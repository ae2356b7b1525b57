"""Ends of requests before they are complete: at their deadline, or when the server stops.

The awaiting task is cancelled then, which cancels the work in every deployment.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serve.errors import DeadlineExceeded, NotReady

STOPPING = "the server stops; send the request again later"


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
        self._ended = False

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Cancel the block at `end_all`, or do not start it after that. Raises NotReady then."""
        if self._ended:
            raise NotReady(STOPPING)
        clock = asyncio.timeout(None)
        try:
            async with clock:
                self._clocks.add(clock)
                yield
        except TimeoutError as error:
            if not clock.expired():
                raise
            raise NotReady(STOPPING) from error
        finally:
            self._clocks.discard(clock)

    def end_all(self) -> None:
        """End the blocks that run now, and let no other start. Later calls do nothing."""
        if self._ended:
            return
        self._ended = True
        now_s = asyncio.get_running_loop().time()
        for clock in self._clocks:
            clock.reschedule(now_s)
