"""Description of one measured run: its window, its objective, and the metrics computed from it."""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from load.harness.outcomes import Outcome

Mode = Literal["rate", "concurrency"]
Metrics = dict[str, float]


class Objective(BaseModel):
    """Latency limits that a good reply keeps. A detection must arrive within `ttft_ms`."""

    model_config = ConfigDict(frozen=True)

    ttft_ms: float
    tpot_ms: float

    def met_by(self, outcome: Outcome) -> bool:
        """Decide whether a reply is complete and keeps both limits."""
        if outcome.end != "ok" or outcome.ttft_s is None:
            return False
        tpot_ms = (outcome.tpot_s or 0) * 1000
        return outcome.ttft_s * 1000 <= self.ttft_ms and tpot_ms <= self.tpot_ms


class Window(BaseModel):
    """Measured part of a run, in seconds of `time.monotonic`."""

    model_config = ConfigDict(frozen=True)

    from_s: float
    to_s: float

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.to_s - self.from_s

    def started(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        """Select the requests that started in the window."""
        return [one for one in outcomes if self.from_s <= one.started_s < self.to_s]

    def completed(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        """Select the complete replies that ended in the window."""
        return [
            one for one in outcomes if one.end == "ok" and self.from_s <= one.ended_s < self.to_s
        ]


class Run(BaseModel):
    """One repeat of one level of one arm."""

    arm: str
    mode: Mode
    level: float = Field(description="requests per second, or number of users")
    repeat: int
    metrics: Metrics
    ends: dict[str, int]
    phases_ms: dict[str, Metrics]
    personas: dict[str, Metrics]

    def flat(self) -> dict[str, object]:
        """Convert to the layout of `vllm bench serve`, with every metric at the top level."""
        level_name = "request_rate" if self.mode == "rate" else "max_concurrency"
        return self.model_dump(exclude={"metrics"}) | {level_name: self.level} | self.metrics
