"""One fault in the middle of a load, and what is said of it: how each request ended, and whether the graph is whole again."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from load.chaos.cluster import Cluster, until
from load.harness.arrivals import Send, open_loop, session
from load.harness.client import Check, ask
from load.harness.outcomes import End, Outcome, counted
from load.harness.workload import Asked, mixed
from serve.engine.scripted import SENTENCE

BEFORE_S = 2.5  # of load, before most faults
WINDOW_S = 2.5  # of load; there is one more when the graph is whole
RECOVERS_S = 240.0
CALMS_S = 15.0  # in which nothing runs any more once the last request has ended
LATE_S = 5.0  # a client that is later than that did not ask as it should have
OPENING = SENTENCE.partition(" ")[0]
BEGUN = 200  # the status of a stream that ended with an error
Strike = Callable[[Cluster], Awaitable[str]]


class Missed(Exception):
    """The fault did not bite: what should have changed did not."""


@dataclass(frozen=True)
class Load:
    """How many ask, what each asks for as its timeout, and what is right for an answer."""

    rate_per_s: float
    timeout_s: float
    check: Check


@dataclass(frozen=True)
class Fault:
    """`spares`: every request must be answered, those included that were in the middle when it struck. `crowds`: some may be refused."""

    name: str
    strike: Strike
    spares: bool = False
    crowds: bool = False
    load: Load | None = None  # another than the others'
    prepare: Callable[[Cluster], Awaitable[object]] | None = None  # before anybody asks
    before_s: float = BEFORE_S


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
        return sum(outcome.end == "wrong" and outcome.text.count(f"[{outcome.adapter}] {OPENING}") > 1 for outcome in self.outcomes)


async def try_fault(cluster: Cluster, fault: Fault, load: Load, seed: int) -> Trial:
    """Load, then the fault, and load until the graph is whole and a little longer; then the graph must be as before."""
    if fault.prepare:
        await fault.prepare(cluster)
    async with session() as http:
        send = partial(ask, http, cluster.url, timeout_s=load.timeout_s, check=load.check)
        striking = asyncio.create_task(_struck(cluster, fault))
        outcomes, late_s = await _asked_throughout(send, load.rate_per_s, seed, striking)
        struck_s, seen, troubles = await striking
        troubles += await _aftermath(cluster, partial(send, next(streams_and_wholes(seed))))
    in_the_middle = sum(outcome.began_s < struck_s < outcome.ended_s for outcome in outcomes)
    troubles += judged(fault, outcomes, in_the_middle, late_s)
    return Trial(fault.name, outcomes, seen, in_the_middle, troubles)


async def _struck(cluster: Cluster, fault: Fault) -> tuple[float, str, list[str]]:
    """When it struck, what it has seen, and what is wrong with that."""
    await asyncio.sleep(fault.before_s)
    await until(cluster.is_busy)  # a fault strikes in the middle of answers
    struck_s = time.monotonic()
    try:
        async with asyncio.timeout(RECOVERS_S):
            return struck_s, await fault.strike(cluster), []
    except TimeoutError:
        return struck_s, "", [f"the graph was not whole within {RECOVERS_S:.0f} s"]
    except Missed as error:
        return struck_s, "", [f"the fault did not bite: {error}"]


async def _asked_throughout(send: Send, rate_per_s: float, seed: int, striking: asyncio.Task[Any]) -> tuple[list[Outcome], float]:
    """Every outcome, and how late the client was at most. An open loop has an end, so one follows another, without waiting for it."""
    workload, last = streams_and_wholes(seed), False
    windows: list[asyncio.Task[tuple[list[Outcome], float]]] = []
    while not last:
        last = striking.done()
        windows.append(asyncio.create_task(open_loop(send, workload, rate_per_s, WINDOW_S, seed + len(windows))))
        await asyncio.sleep(WINDOW_S)
    found = await asyncio.gather(*windows)
    return [outcome for window, _ in found for outcome in window], max(late_s for _, late_s in found)


def streams_and_wholes(seed: int) -> Iterator[Asked]:
    """In turn."""
    pairs = zip(mixed(seed, stream=True), mixed(seed + 1, stream=False), strict=True)
    return itertools.chain.from_iterable(pairs)


async def _aftermath(cluster: Cluster, probe: Callable[[], Awaitable[Outcome]]) -> list[str]:
    """What is wrong once all have their answers: something runs on, a stage is not healthy, or who asks now is not answered."""
    try:
        async with asyncio.timeout(CALMS_S):
            await until(cluster.is_idle)
            await cluster.whole()
    except TimeoutError:
        return [f"answers are still generated {CALMS_S:.0f} s after the last request, or a stage is not healthy"]
    outcome = await probe()
    return [] if outcome.end == "ok" else [f"who asked afterwards was {outcome.end}: {outcome.problem}"]


def judged(fault: Fault, outcomes: list[Outcome], in_the_middle: int, late_s: float) -> Iterator[str]:
    """What is wrong with how the requests ended."""
    if not in_the_middle:
        yield "nothing was going on when it struck"
    if late_s > LATE_S:
        yield f"the client itself was {late_s:.1f} s late"
    for outcome in outcomes:
        if outcome.end not in _excused(fault, outcome):
            yield f"{outcome.end} with {outcome.status} {outcome.problem}, which nothing excuses"


def _excused(fault: Fault, outcome: Outcome) -> set[End]:
    """How a request may end. Only a stream that had begun may fail, with an error that says so."""
    failed: set[End] = {"failed_explicitly"} if outcome.status == BEGUN and not fault.spares else set()
    refused: set[End] = {"refused"} if fault.crowds else set()
    return failed | refused | {"ok"}
