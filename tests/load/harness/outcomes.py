"""Outcome of one request under load, and statistics over many outcomes."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.emotions import Emotion

# ok: a complete reply that passed its check.
# rejected: 429 or 503 before the first chunk.
# failed_explicitly: any other error that the client sees: an error status, an error event, or a
#   body that ends in the middle.
# lost: a silent end. The connection closed before any reply, or a stream ended cleanly without its
#   final event.
# wrong: a reply that belongs to another request, persona or attempt.
# hung: no end within the deadline and the client's grace.
End = Literal["ok", "rejected", "failed_explicitly", "lost", "wrong", "hung"]
ENDS: tuple[End, ...] = ("ok", "rejected", "failed_explicitly", "lost", "wrong", "hung")
MIN_WRITING_S = 1e-3  # a reply of one chunk is taken to be written in this time


class Outcome(BaseModel):
    """Outcome of one request. Times are in seconds of `time.monotonic`."""

    model_config = ConfigDict(frozen=True)

    emotion: Emotion = Field(description="the one that the message is about")
    end: End
    started_s: float
    ended_s: float
    status: int | None = Field(default=None, description="HTTP status, if there was a reply")
    error: str | None = Field(
        default=None, description="type of the problem document, or what the client saw"
    )
    retry_after_s: float | None = None
    emotion_at_s: float | None = Field(default=None, description="arrival of the emotion event")
    chunks_at_s: tuple[float, ...] = Field(default=(), description="arrival of each chunk of text")
    prompt_tokens: int = 0
    completion_tokens: int = 0
    detected: Emotion | None = Field(default=None, description="the emotion that the server found")
    adapter: str | None = Field(default=None, description="adapter version that replied")
    timings_ms: dict[str, float] = Field(default={}, description="the server's own phases")
    message: str = Field(default="", description="text of the request")
    probe: int | None = None
    text: str = Field(default="", description="text of the reply")

    @property
    def total_s(self) -> float:
        """End-to-end latency."""
        return self.ended_s - self.started_s

    @property
    def ttft_s(self) -> float | None:
        """Time to the first chunk of text."""
        return self.chunks_at_s[0] - self.started_s if self.chunks_at_s else None

    @property
    def tpot_s(self) -> float | None:
        """Time per output token after the first; None with fewer than two tokens."""
        if self.completion_tokens < 2 or not self.chunks_at_s:
            return None
        return (self.chunks_at_s[-1] - self.chunks_at_s[0]) / (self.completion_tokens - 1)

    @property
    def itls_s(self) -> list[float]:
        """Times between chunks; one may hold several tokens, as in `vllm bench serve`."""
        return [later - earlier for earlier, later in pairwise(self.chunks_at_s)]


def count_ends(outcomes: Sequence[Outcome]) -> dict[End, int]:
    """Count the outcomes by end; every end has an entry."""
    counts = Counter(outcome.end for outcome in outcomes)
    return {end: counts[end] for end in ENDS}


def percentile(values: Sequence[float], share: float) -> float:
    """Interpolate the value below which a `share` of 0 to 1 lies; NaN without values."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def goodput(
    outcomes: Sequence[Outcome], meets: Callable[[Outcome], bool], from_s: float, to_s: float
) -> float:
    """Compute correct replies per second that meet the objective (DistServe's measure).

    Only replies that ended within the window count. Replies of a full queue that arrive after the
    last request was sent were not achieved at the offered rate.
    """
    good = [
        outcome
        for outcome in outcomes
        if outcome.end == "ok" and from_s <= outcome.ended_s < to_s and meets(outcome)
    ]
    return len(good) / (to_s - from_s)


def tokens_in_window(outcomes: Sequence[Outcome], from_s: float, to_s: float) -> float:
    """Sum the tokens written in a window, each reply's spread evenly over its writing time."""
    total = 0.0
    for outcome in outcomes:
        if not outcome.chunks_at_s:
            continue
        first_s = outcome.chunks_at_s[0]
        last_s = max(outcome.chunks_at_s[-1], first_s + MIN_WRITING_S)
        overlap_s = max(min(last_s, to_s) - max(first_s, from_s), 0)
        total += outcome.completion_tokens * overlap_s / (last_s - first_s)
    return total
