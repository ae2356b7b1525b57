"""Load generators: open loop (a rate of requests) and closed loop (waiting users)."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator

import aiohttp

from load.harness.outcomes import Outcome
from load.harness.workload import Request

Send = Callable[[Request], Awaitable[Outcome]]


def client_session() -> aiohttp.ClientSession:
    """Open a session without a limit on connections; every request has its own deadline."""
    connector = aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))


async def open_loop(
    send: Send, requests: Iterator[Request], rate_per_s: float, duration_s: float, seed: int
) -> tuple[list[Outcome], float]:
    """Send requests with Poisson arrivals for a while, then wait for all replies.

    Returns:
        The outcomes, and the client's greatest lateness in seconds. Discard a run whose lateness is
        not small compared to the latencies in it: such a client has measured itself.
    """
    rng = random.Random(seed)
    lateness_s = 0.0
    tasks = []
    started_s = time.monotonic()
    due_s = started_s + rng.expovariate(rate_per_s)
    while due_s < started_s + duration_s:
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        lateness_s = max(lateness_s, time.monotonic() - due_s)
        tasks.append(asyncio.ensure_future(send(next(requests))))
        due_s += rng.expovariate(rate_per_s)
    return list(await asyncio.gather(*tasks)), lateness_s


async def closed_loop(
    send: Send, requests: Iterator[Request], users: int, duration_s: float
) -> list[Outcome]:
    """Simulate users, each of whom sends a request when the previous one has ended."""
    end_s = time.monotonic() + duration_s

    async def run_user() -> list[Outcome]:
        outcomes = []
        while time.monotonic() < end_s:
            outcomes.append(await send(next(requests)))
        return outcomes

    per_user = await asyncio.gather(*(run_user() for _ in range(users)))
    return [outcome for outcomes in per_user for outcome in outcomes]


async def repeat_until(stop: asyncio.Event, send: Send, request: Request) -> list[Outcome]:
    """Repeat one request until `stop` is set, and wait for the last reply."""
    outcomes = []
    while not stop.is_set():
        outcomes.append(await send(request))
    return outcomes
