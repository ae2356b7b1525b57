"""How one request under load ended, and what many of them come to."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.emotions import Emotion

End = Literal["ok", "refused", "failed_explicitly", "lost", "wrong", "hung"]
ENDS: tuple[End, ...] = ("ok", "refused", "failed_explicitly", "lost", "wrong", "hung")


class Outcome(BaseModel):
    """One request. Times are seconds of `time.monotonic`; `tokens_at_s` has one for each piece of text.

    `refused` is 429 or 503 before anything was sent. `failed_explicitly` is any other error that the server put in words. `lost` is a
    silent end: a connection or a stream cut without an error. `wrong` is an answer that another request, persona or attempt should have
    had. `hung` outlived its deadline by the client's grace.
    """

    model_config = ConfigDict(frozen=True)

    emotion: Emotion
    end: End
    began_s: float
    ended_s: float
    status: int | None = None
    problem: str | None = Field(default=None, description="the error's type, or what the client saw")
    retry_after_s: float | None = None
    emotion_at_s: float | None = None
    tokens_at_s: tuple[float, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    detected: Emotion | None = Field(default=None, description="what the server took the message for")
    adapter: str | None = None
    timings_ms: dict[str, float] = Field(default={}, description="the server's own split of the time, by stage")
    asked: str = Field(default="", description="the message's text")
    probe: int | None = None
    text: str = ""

    @property
    def total_s(self) -> float:
        return self.ended_s - self.began_s

    @property
    def ttft_s(self) -> float | None:
        """Time to the first text."""
        return self.tokens_at_s[0] - self.began_s if self.tokens_at_s else None

    @property
    def tpot_s(self) -> float | None:
        """Time per output token after the first; None with fewer than two tokens."""
        if self.completion_tokens < 2 or not self.tokens_at_s:
            return None
        return (self.tokens_at_s[-1] - self.tokens_at_s[0]) / (self.completion_tokens - 1)

    @property
    def itls_s(self) -> list[float]:
        """Times between pieces of text; a piece may hold more than one token, as in `vllm bench serve`."""
        return [later - earlier for earlier, later in pairwise(self.tokens_at_s)]


def counted(outcomes: Sequence[Outcome]) -> dict[End, int]:
    """How many ended in which way; every way has an entry."""
    found = Counter(outcome.end for outcome in outcomes)
    return {end: found[end] for end in ENDS}


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which a `share` of 0 to 1 lies, interpolated; NaN of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def goodput(outcomes: Sequence[Outcome], meets: Callable[[Outcome], bool], from_s: float, to_s: float) -> float:
    """Right answers a second that meet the objective (DistServe's measure), of those that ended in a window of `time.monotonic`.

    It goes by when they ended: answers of a full queue that come after the last arrival were not achieved at the offered rate.
    """
    return sum(one.end == "ok" and meets(one) and from_s <= one.ended_s < to_s for one in outcomes) / (to_s - from_s)


def tokens_within(outcomes: Sequence[Outcome], from_s: float, to_s: float) -> float:
    """Tokens that were written in a window: an answer's tokens are spread evenly over the time in which it was written."""
    total = 0.0
    for one in outcomes:
        if not one.tokens_at_s:
            continue
        first_s, last_s = one.tokens_at_s[0], max(one.tokens_at_s[-1], one.tokens_at_s[0] + 1e-3)
        total += one.completion_tokens * max(min(last_s, to_s) - max(first_s, from_s), 0) / (last_s - first_s)
    return total
