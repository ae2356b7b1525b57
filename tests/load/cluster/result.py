"""How the requests of a phase ended, and whether more was lost than was in flight on what died."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from load.cluster.entry import Sent

COLUMNS = (
    "phase",
    "sent",
    "answered",
    "refused",
    "cut",
    "failed",
    "retried",
    "in flight",
    "effect",
)
MAX_LATENESS_S = 5.0  # a client with more lateness did not send its nominal load


@dataclass(frozen=True)
class Struck:
    """What died, when, and what may have gone with it.

    Attributes:
        at_s: time of `time.monotonic`.
        effect: what happened, for the table.
        pod: the pod whose HAProxy died; None if none did.
        has_replies: whether replies were written on what died.
        may_refuse: whether nothing was left that could answer.
    """

    at_s: float
    effect: str
    pod: str | None = None
    has_replies: bool = False
    may_refuse: bool = False


@dataclass(frozen=True)
class Phase:
    """Requests of a phase, and what is wrong with how they ended."""

    name: str
    sent: Sequence[Sent]
    struck: Struck
    problems: list[str] = field(default_factory=list)

    def row(self) -> dict[str, object]:
        """Return the row of the table and of the JSON file."""
        kinds = [kind_of(each) for each in self.sent]
        return {
            "phase": self.name,
            "sent": len(kinds),
            **{kind: kinds.count(kind) for kind in ("answered", "refused", "cut", "failed")},
            "retried": sum(each.retries > 0 for each in self.sent),
            "in flight": sum(in_flight(each, self.struck) for each in self.sent),
            "effect": self.struck.effect,
        }


def kind_of(sent: Sent) -> str:
    """Return the column in which a request counts.

    A cut request ends in the middle of its answer; a failed one has none, or a wrong one.
    """
    outcome = sent.outcome
    kinds = {"ok": "answered", "rejected": "refused"}
    if outcome.end == "failed_explicitly" and outcome.status == 200:
        return "cut"
    return kinds.get(outcome.end, "failed")


def in_flight(sent: Sent, struck: Struck) -> bool:
    """Return whether a request was running on what died."""
    was_running = sent.outcome.started_s < struck.at_s < sent.outcome.ended_s
    return was_running and (struck.has_replies or (sent.pod is not None and sent.pod == struck.pod))


def judge(sent: Sequence[Sent], struck: Struck, lateness_s: float) -> Iterator[str]:
    """Yield what is wrong: each request that was lost and not in flight on what died."""
    if lateness_s > MAX_LATENESS_S:
        yield f"the client itself was {lateness_s:.1f} s late"
    for each in sent:
        outcome = each.outcome
        kind = kind_of(each)
        is_excused = kind == "refused" and struck.may_refuse
        is_whole = outcome.end not in {"wrong", "hung"}
        if kind != "answered" and not is_excused and not (in_flight(each, struck) and is_whole):
            after_s = outcome.started_s - struck.at_s
            yield (
                f"{outcome.end}, status {outcome.status}, {outcome.error}: sent to {each.pod}"
                f" {after_s:+.1f} s after the strike, {outcome.total_s:.1f} s long"
            )
