"""Outcomes and runs for the unit tests of the load test."""

from typing import Any

from load.harness.outcomes import Outcome
from load.harness.runs import Mode, Run
from models.emotions import Emotion


def reply(started_s: float, **changes: Any) -> Outcome:
    """Build a reply of five tokens: the first after 0.4 s, the others every 0.2 s."""
    chunks_at_s = tuple(started_s + 0.4 + 0.2 * number for number in range(5))
    fields: dict[str, Any] = {
        "chunks_at_s": chunks_at_s,
        "ended_s": chunks_at_s[-1],
        "completion_tokens": 5,
        "prompt_tokens": 7,
    }
    return Outcome(emotion=Emotion.JOY, end="ok", started_s=started_s, **(fields | changes))


def run_of(level: float, arm: str = "graph", repeat: int = 0, **metrics: float) -> Run:
    """Build a run with some metrics; its mode follows from them."""
    mode: Mode = "concurrency" if "mean_e2el_ms" in metrics else "rate"
    return Run(
        arm=arm,
        mode=mode,
        level=level,
        repeat=repeat,
        metrics=metrics,
        ends={},
        phases_ms={},
        personas={},
    )
