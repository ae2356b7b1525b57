"""What `make load` leaves behind, as `.bench/load.json`."""

import json
from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel

from load.harness.metrics import Objective, Run
from load.harness.outcomes import percentile
from load.harness.sampler import Sample
from load.sweep.correctness import Score
from load.sweep.knee import Knee, Point
from load.sweep.measure import Plan


class Settings(BaseModel):
    """Everything that has to be the same for two results to be compared."""

    date: str
    machine: str
    versions: dict[str, str]
    engine: str
    seed: int
    input_lengths: str
    output_lengths: str
    objective: Objective
    detection: Objective
    plan: Plan
    config: dict[str, object]


class ArmResult(BaseModel):
    """One arm. `input_tokens` and `output_tokens` are of every answer, as the server counted them."""

    name: str
    runs: list[Run]
    score: Score
    samples: list[Sample]
    client_saturated: list[str]
    input_tokens: list[int]
    output_tokens: list[int]

    def rates(self) -> list[float]:
        """Those that were offered."""
        return sorted({run.level for run in self.runs if run.mode == "rate"})

    def repeats(self) -> int:
        """How many there was time for."""
        return len({run.repeat for run in self.runs})


class LoadResult(BaseModel):
    """The whole test."""

    settings: Settings
    took_s: float
    arms: list[ArmResult]
    points: list[Point]
    knees: list[Knee]

    def write(self, file: Path) -> None:
        """Runs are flat, as `vllm bench serve` writes one; lengths are told by their quantiles."""
        document = {
            "settings": self.settings.model_dump(mode="json", exclude={"plan"}) | {"plan": asdict(self.settings.plan)},
            "took_s": self.took_s,
            "arms": {arm.name: self._arm(arm) for arm in self.arms},
            "runs": [run.flat() for arm in self.arms for run in arm.runs],
            "points": [point.model_dump() for point in self.points],
            "knees": [knee.model_dump() for knee in self.knees],
        }
        file.write_text(json.dumps(document, indent=1) + "\n", "utf-8")

    def _arm(self, arm: ArmResult) -> dict[str, object]:
        lengths = {"input_tokens": quantiles(arm.input_tokens), "output_tokens": quantiles(arm.output_tokens)}
        return arm.model_dump(exclude={"name", "runs", "input_tokens", "output_tokens"}) | lengths

    def summary(self) -> str:
        """Some lines for people."""
        lines = [f"{knee.arm}, {knee.mode}: {knee.words}" for knee in self.knees]
        for arm in self.arms:
            score = arm.score
            lines.append(
                f"{arm.name}: emotion as alone {score.emotion_as_alone} of {score.emotions}, adapter right {score.adapter_right} of"
                f" {score.adapters}, closest to its own persona {score.closest} of {score.probes} ({score.identical} identical)"
            )
            if arm.client_saturated:
                lines.append(f"{arm.name}: the client was saturated at {', '.join(arm.client_saturated)}")
        return "\n".join([*lines, f"{self.took_s:.0f} s"])


def quantiles(values: list[int]) -> dict[str, float]:
    """Least, some between, greatest; nothing of nothing."""
    shares = {"min": 0.0, "p10": 0.1, "p50": 0.5, "p90": 0.9, "max": 1.0}
    return {name: percentile(values, share) for name, share in shares.items()} if values else {}
