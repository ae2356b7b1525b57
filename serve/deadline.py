"""Deadline of a request, from the socket to the engine.

At the deadline the awaiting task is cancelled, which cancels the work in every deployment.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serve.errors import DeadlineExceeded


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
