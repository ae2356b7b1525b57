"""When requests are sent: at a rate, whether or not earlier ones are done (open loop), or as so many users who wait (closed loop)."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator

import aiohttp

from load.harness.outcomes import Outcome
from load.harness.workload import Asked

Send = Callable[[Asked], Awaitable[Outcome]]


def session() -> aiohttp.ClientSession:
    """As many connections as there are requests; each has its own deadline instead of the session's."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None))


async def open_loop(send: Send, workload: Iterator[Asked], rate_per_s: float, duration_s: float, seed: int) -> tuple[list[Outcome], float]:
    """Poisson arrivals for a while, then waits for all of them. Also how late the client itself was at most, in seconds.

    A client that is late measures itself: discard a run whose lateness is not small against the times that it measured.
    """
    dice, late_s, tasks = random.Random(seed), 0.0, []
    began_s = time.monotonic()
    due_s = began_s + dice.expovariate(rate_per_s)
    while due_s < began_s + duration_s:
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        late_s = max(late_s, time.monotonic() - due_s)
        tasks.append(asyncio.ensure_future(send(next(workload))))
        due_s += dice.expovariate(rate_per_s)
    return list(await asyncio.gather(*tasks)), late_s


async def closed_loop(send: Send, workload: Iterator[Asked], users: int, duration_s: float) -> list[Outcome]:
    """So many users for a while, each asking again as soon as the answer is there."""
    end_s = time.monotonic() + duration_s

    async def one() -> list[Outcome]:
        mine = []
        while time.monotonic() < end_s:
            mine.append(await send(next(workload)))
        return mine

    return [outcome for mine in await asyncio.gather(*(one() for _ in range(users))) for outcome in mine]


async def asked_until(ended: asyncio.Event, send: Send, asked: Asked) -> list[Outcome]:
    """One user, who asks the same over and over. The last answer is waited for."""
    found = []
    while not ended.is_set():
        found.append(await send(asked))
    return found
