"""One fault in the middle of a load, and what is said of it: how each request ended, and whether the graph is whole again."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial

from arrivals import open_loop, session
from client import Check, ask
from cluster import Cluster, until
from outcomes import Outcome, counted
from workload import Asked, mixed

BEFORE_S = AFTER_S = 3.0  # of load, on both sides of the fault
WINDOW_S = 2.0  # the load goes on in windows until the graph is whole
RECOVERS_S = 180.0
CALMS_S = 15.0  # in which nothing runs any more once the last request has ended
LATE_S = 5.0  # a client that is later than that did not ask as it should have
BEGUN = 200  # the status of a stream that ended with an error
Strike = Callable[[Cluster], Awaitable[str]]


class Missed(Exception):
    """The fault did not bite: what should have changed did not."""


@dataclass(frozen=True)
class Fault:
    """`spares` says that every request must be answered, those included that were in the middle when it struck."""

    name: str
    strike: Strike
    spares: bool = False


@dataclass(frozen=True)
class Trial:
    """What came of it. `troubles` are sentences; none is what should be."""

    fault: str
    outcomes: list[Outcome]
    seen: str
    in_the_middle: int
    troubles: list[str]

    def row(self) -> dict[str, object]:
        return dict([("fault", self.fault), ("sent", len(self.outcomes)), *counted(self.outcomes).items()])

    @property
    def duplicated(self) -> int:
        """Answers that begin twice; they are wrong, too."""
        return sum(outcome.end == "wrong" and outcome.text.count(f"[{outcome.adapter}]") > 1 for outcome in self.outcomes)


@dataclass(frozen=True)
class Load:
    """How many ask, what each asks for as its timeout, and what is right for an answer."""

    rate_per_s: float
    timeout_s: float
    check: Check


async def try_fault(cluster: Cluster, fault: Fault, load: Load, seed: int) -> Trial:
    """Load, then the fault, and load until the graph is whole and a little longer; then the graph must be as before."""
    async with session() as http:
        send = partial(ask, http, cluster.url, timeout_s=load.timeout_s, check=load.check)
        windows = [asyncio.create_task(open_loop(send, workload := streams_and_wholes(seed), load.rate_per_s, BEFORE_S, seed))]
        await asyncio.sleep(BEFORE_S)
        struck_s, seen, troubles = time.monotonic(), "", list[str]()
        striking = asyncio.create_task(_struck(cluster, fault))
        for number in itertools.count(1):
            ending = striking.done()
            duration_s = AFTER_S if ending else WINDOW_S
            windows.append(asyncio.create_task(open_loop(send, workload, load.rate_per_s, duration_s, seed + number)))
            await asyncio.sleep(duration_s)
            if ending:
                break
        seen, troubles = await striking
        found = await asyncio.gather(*windows)
        outcomes = [outcome for window, _ in found for outcome in window]
        troubles += await _aftermath(cluster)
        if (probe := await send(next(workload))).end != "ok":
            troubles.append(f"who asked afterwards was {probe.end}: {probe.problem}")
    in_the_middle = sum(outcome.began_s < struck_s < outcome.ended_s for outcome in outcomes)
    troubles += list(judged(fault, outcomes, in_the_middle, max(late_s for _, late_s in found)))
    return Trial(fault.name, outcomes, seen, in_the_middle, troubles)


def streams_and_wholes(seed: int) -> Iterator[Asked]:
    """In turn."""
    pairs = zip(mixed(seed, stream=True), mixed(seed + 1, stream=False), strict=True)
    return itertools.chain.from_iterable(pairs)


async def _struck(cluster: Cluster, fault: Fault) -> tuple[str, list[str]]:
    try:
        async with asyncio.timeout(RECOVERS_S):
            return await fault.strike(cluster), []
    except TimeoutError:
        return "", [f"the graph was not whole within {RECOVERS_S:.0f} s"]
    except Missed as error:
        return "", [f"the fault did not bite: {error}"]


async def _aftermath(cluster: Cluster) -> list[str]:
    """Nothing runs on, and every stage is healthy."""
    try:
        async with asyncio.timeout(CALMS_S):
            await until(cluster.is_idle)
            await cluster.whole()
    except TimeoutError:
        return [f"answers are still generated {CALMS_S:.0f} s after the last request, or a stage is not healthy"]
    return []


def judged(fault: Fault, outcomes: list[Outcome], in_the_middle: int, late_s: float) -> Iterator[str]:
    """What is wrong with how the requests ended."""
    if not in_the_middle:
        yield "nothing was going on when it struck"
    if late_s > LATE_S:
        yield f"the client itself was {late_s:.1f} s late"
    for outcome in outcomes:
        if outcome.end in {"lost", "wrong", "hung"}:
            yield f"{outcome.end}: {outcome.problem}"
        elif outcome.end == "refused" or (outcome.end == "failed_explicitly" and (fault.spares or outcome.status != BEGUN)):
            yield f"{outcome.end} with {outcome.status} {outcome.problem}, which nothing excuses"
