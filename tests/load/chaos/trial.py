"""Trial of one fault under load: ends of requests, and recovery of the graph."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from load.chaos.cluster import Cluster, wait_until
from load.chaos.verdict import (
    Fault,
    FaultMissed,
    Load,
    PromiseBroken,
    count_in_flight,
    judge,
)
from load.harness.arrivals import Send, client_session, open_loop
from load.harness.client import send_request
from load.harness.outcomes import Outcome, count_ends
from load.harness.workload import Request, synthetic_requests
from serve.engine.scripted import SENTENCE

WINDOW_S = 2.5  # load is generated in windows; the last one starts when the graph has recovered
RECOVERY_TIMEOUT_S = 240.0
IDLE_TIMEOUT_S = 15.0  # after the last request has ended
STREAM_SHARE = 0.5
FIRST_WORD = SENTENCE.partition(" ")[0]


@dataclass(frozen=True)
class Trial:
    """Result of one fault."""

    fault: str
    outcomes: list[Outcome]
    observation: str  # the effect that the fault had
    in_flight: int  # requests that were running when it struck
    problems: list[str]  # empty if the graph kept its promises

    def row(self) -> dict[str, object]:
        """Build the row of the JSON file."""
        row: dict[str, object] = {"fault": self.fault, "sent": len(self.outcomes)}
        return row | {str(end): count for end, count in count_ends(self.outcomes).items()}

    @property
    def duplicated(self) -> int:
        """Number of replies that contain their beginning twice; they count as wrong, too."""
        return sum(_begins_twice(outcome) for outcome in self.outcomes if outcome.end == "wrong")


def _begins_twice(outcome: Outcome) -> bool:
    return outcome.text.count(f"[{outcome.adapter}] {FIRST_WORD}") > 1


async def run_trial(cluster: Cluster, fault: Fault, load: Load, seed: int) -> Trial:
    """Generate load, inject the fault, and continue until the graph has recovered."""
    if fault.prepare:
        await fault.prepare(cluster)
    async with client_session() as session:
        send = partial(
            send_request, session, cluster.url, timeout_s=load.timeout_s, check=load.check
        )
        injection = asyncio.create_task(_inject(cluster, fault))
        outcomes, lateness_s = await load_until_done(send, load.rate_per_s, seed, injection)
        struck_s, observation, problems = await injection
        probe = next(mixed_requests(seed))
        problems += await _check_recovery(cluster, partial(send, probe))
    problems += judge(fault, outcomes, struck_s, lateness_s)
    in_flight = count_in_flight(outcomes, struck_s)
    return Trial(fault.name, outcomes, observation, in_flight, problems)


async def _inject(cluster: Cluster, fault: Fault) -> tuple[float, str, list[str]]:
    """Inject the fault in the middle of replies.

    Returns:
        The time at which it struck, the observation, and the problems.
    """
    await asyncio.sleep(fault.before_s)
    await wait_until(cluster.is_busy)
    struck_s = time.monotonic()
    try:
        async with asyncio.timeout(RECOVERY_TIMEOUT_S):
            return struck_s, await fault.inject(cluster), []
    except TimeoutError:
        return struck_s, "", [f"the graph did not recover within {RECOVERY_TIMEOUT_S:.0f} s"]
    except FaultMissed as error:
        return struck_s, "", [f"the fault had no effect: {error}"]
    except PromiseBroken as error:
        return struck_s, "", [str(error)]


async def load_until_done(
    send: Send, rate_per_s: float, seed: int, injection: asyncio.Task[Any]
) -> tuple[list[Outcome], float]:
    """Generate load until the injection is done, and for one more window.

    An open loop has a fixed length, so one follows another without waiting for its replies.

    Returns:
        The outcomes, and the client's greatest lateness.
    """
    requests = mixed_requests(seed)
    windows: list[asyncio.Task[tuple[list[Outcome], float]]] = []
    is_last = False
    while not is_last:
        is_last = injection.done()
        window = open_loop(send, requests, rate_per_s, WINDOW_S, seed + len(windows))
        windows.append(asyncio.create_task(window))
        await asyncio.sleep(WINDOW_S)
    results = await asyncio.gather(*windows)
    outcomes = [outcome for window_outcomes, _ in results for outcome in window_outcomes]
    return outcomes, max(lateness_s for _, lateness_s in results)


def mixed_requests(seed: int) -> Iterator[Request]:
    """Draw streams and JSON documents in random order.

    With a strict alternation, a proxy that balances by connections would send all streams to one of
    two replicas.
    """
    streams = synthetic_requests(seed, stream=True)
    documents = synthetic_requests(seed + 1, stream=False)
    chance = random.Random(seed)
    while True:
        yield next(streams if chance.random() < STREAM_SHARE else documents)


async def _check_recovery(
    cluster: Cluster, send_probe: Callable[[], Awaitable[Outcome]]
) -> list[str]:
    """Check that nothing runs on, every deployment is healthy, and a new request succeeds."""
    try:
        async with asyncio.timeout(IDLE_TIMEOUT_S):
            await wait_until(cluster.is_idle)
            await cluster.wait_healthy()
    except TimeoutError:
        return [
            f"{IDLE_TIMEOUT_S:.0f} s after the last request a reply is still generated,"
            " or a deployment is not healthy"
        ]
    outcome = await send_probe()
    if outcome.end == "ok":
        return []
    return [f"a request after the recovery was {outcome.end}: {outcome.error}"]
