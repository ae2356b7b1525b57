"""Description of a fault, and the verdict on how the requests during it ended."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from load.chaos.cluster import Cluster
from load.harness.outcomes import End, Outcome
from load.harness.reply_checks import Check

BEFORE_S = 2.5  # seconds of load before most faults
MAX_LATENESS_S = 5.0  # a client with more lateness did not send its nominal load
CUT_WITHIN_S = 5.0  # a death ends all streams of its replica at once
STREAM_STATUS = 200  # status of a stream that ends with an error
# Injects a fault, returns once the graph has recovered, and describes the effect.
Inject = Callable[[Cluster], Awaitable[str]]


class FaultMissed(Exception):
    """The fault had no effect: what should have changed did not."""


class PromiseBroken(Exception):
    """The graph did something under the fault that it promises not to do."""


@dataclass(frozen=True)
class Load:
    """Load during a fault."""

    rate_per_s: float
    timeout_s: float  # of each request
    check: Check


@dataclass(frozen=True)
class Fault:
    """Fault and the requests that may fail because of it."""

    name: str
    inject: Inject
    harmless: bool = False  # every request succeeds, also those in flight when the fault strikes
    may_reject: bool = False  # requests may be rejected
    rejects_from: int | None = None  # so may one that at some time was one of so many in work
    may_fail: frozenset[str] = frozenset()  # types of problems that requests may end with
    load: Load | None = None  # instead of the usual load
    prepare: Callable[[Cluster], Awaitable[object]] | None = None  # before the load starts
    before_s: float = BEFORE_S


def judge(
    fault: Fault, outcomes: list[Outcome], struck_s: float, lateness_s: float
) -> Iterator[str]:
    """Yield every problem with how the requests ended, or with the trial itself.

    Args:
        fault: that struck.
        outcomes: of all requests of the trial.
        struck_s: time at which the fault struck, on the clock of the outcomes.
        lateness_s: the client's greatest lateness.
    """
    if not count_in_flight(outcomes, struck_s):
        yield "no request was in flight when the fault struck"
    if lateness_s > MAX_LATENESS_S:
        yield f"the client itself was {lateness_s:.1f} s late"
    for outcome in outcomes:
        if outcome.end not in _allowed_ends(fault, outcome, outcomes):
            yield f"unexpected end: {outcome.end} with status {outcome.status}, {outcome.error}"
    yield from _cuts_without_the_fault(fault, outcomes, struck_s)


def count_in_flight(outcomes: list[Outcome], struck_s: float) -> int:
    """Count the requests that were running when the fault struck."""
    return sum(one.started_s < struck_s < one.ended_s for one in outcomes)


def _cuts_without_the_fault(
    fault: Fault, outcomes: list[Outcome], struck_s: float
) -> Iterator[str]:
    """Yield a problem if streams ended before the death of a replica, or after it.

    A fault with `may_fail` kills more than one.
    """
    cut_s = [one.ended_s - struck_s for one in outcomes if one.end == "failed_explicitly"]
    if cut_s and min(cut_s) < 0:
        yield f"a request failed {-min(cut_s):.1f} s before the fault struck"
    if cut_s and not fault.may_fail and max(cut_s) - min(cut_s) > CUT_WITHIN_S:
        yield f"streams were cut for {max(cut_s) - min(cut_s):.1f} s, expected all at once"


def _allowed_ends(fault: Fault, outcome: Outcome, outcomes: list[Outcome]) -> set[End]:
    """List the allowed ends. A request may fail only explicitly.

    Without `may_fail`, only a stream that has started may do so.
    """
    allowed: set[End] = {"ok"}
    is_started = outcome.status == STREAM_STATUS and not fault.harmless
    if is_started or outcome.error in fault.may_fail:
        allowed.add("failed_explicitly")
    if fault.may_reject or _is_crowded(fault, outcome, outcomes):
        allowed.add("rejected")
    return allowed


def _is_crowded(fault: Fault, outcome: Outcome, outcomes: list[Outcome]) -> bool:
    """Return whether as many requests as the fault names were in work during one of them."""
    if fault.rejects_from is None:
        return False
    starts = [one.started_s for one in outcomes]  # at one of them there are the most
    times = [time_s for time_s in starts if outcome.started_s <= time_s <= outcome.ended_s]
    most = max(sum(one.started_s <= time_s <= one.ended_s for one in outcomes) for time_s in times)
    return most >= fault.rejects_from
