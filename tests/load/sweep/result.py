"""Result of the load test, as it is stored in `.bench/load.json`."""

import json
from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel, Field

from load.harness.outcomes import percentile
from load.harness.runs import Objective, Run
from load.harness.sampler import Sample
from load.sweep.correctness import Score
from load.sweep.knee import Knee, Point
from load.sweep.plan import Plan

QUANTILES = {"min": 0.0, "p10": 0.1, "p50": 0.5, "p90": 0.9, "max": 1.0}


class Settings(BaseModel):
    """Settings that two comparable results have in common."""

    date: str
    machine: str
    versions: dict[str, str]
    engine: str
    seed: int
    input_lengths: str
    output_lengths: str
    objective: Objective
    detection: Objective = Field(description="objective of the detector arm")
    plan: Plan
    config: dict[str, object]


class ArmResult(BaseModel):
    """Result of one arm."""

    name: str
    runs: list[Run]
    score: Score
    samples: list[Sample]
    client_saturated: list[str] = Field(description="levels at which the client was saturated")
    input_tokens: list[int] = Field(description="of every reply, as the server counted them")
    output_tokens: list[int] = Field(description="of every reply, as the server counted them")

    def rates(self) -> list[float]:
        """List the offered rates."""
        return sorted({run.level for run in self.runs if run.mode == "rate"})

    def repeats(self) -> int:
        """Count the repeats that were measured within the budget."""
        return len({run.repeat for run in self.runs})


class LoadResult(BaseModel):
    """Result of the whole test."""

    settings: Settings
    took_s: float
    arms: list[ArmResult]
    points: list[Point]
    knees: list[Knee]

    def write(self, file: Path) -> None:
        """Write JSON with flat runs, as `vllm bench serve` writes them."""
        settings = self.settings.model_dump(mode="json", exclude={"plan"})
        document = {
            "settings": settings | {"plan": asdict(self.settings.plan)},
            "took_s": self.took_s,
            "arms": {arm.name: _arm_document(arm) for arm in self.arms},
            "runs": [run.flat() for arm in self.arms for run in arm.runs],
            "points": [point.model_dump() for point in self.points],
            "knees": [knee.model_dump() for knee in self.knees],
        }
        file.write_text(json.dumps(document, indent=1) + "\n", "utf-8")

    def summary(self) -> str:
        """Format the knees and the correctness as a few lines."""
        lines = [f"{knee.arm}, {knee.mode}: {knee.description}" for knee in self.knees]
        for arm in self.arms:
            lines.append(f"{arm.name}: {_describe_score(arm.score)}")
            if arm.client_saturated:
                levels = ", ".join(arm.client_saturated)
                lines.append(f"{arm.name}: the client was saturated at {levels}")
        return "\n".join([*lines, f"took {self.took_s:.0f} s"])


def _arm_document(arm: ArmResult) -> dict[str, object]:
    lengths: dict[str, object] = {
        "input_tokens": quantiles(arm.input_tokens),
        "output_tokens": quantiles(arm.output_tokens),
    }
    return arm.model_dump(exclude={"name", "runs", "input_tokens", "output_tokens"}) | lengths


def _describe_score(score: Score) -> str:
    return (
        f"correct emotion {score.correct_emotions} of {score.emotions},"
        f" correct adapter {score.correct_adapters} of {score.adapters},"
        f" closest to its own persona {score.closest} of {score.probes}"
        f" ({score.identical} identical)"
    )


def quantiles(values: list[int]) -> dict[str, float]:
    """Compute the quantiles of `QUANTILES`; empty without values."""
    return {name: percentile(values, share) for name, share in QUANTILES.items()} if values else {}
