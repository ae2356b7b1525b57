"""The figures of one measured run, under the names of `vllm bench serve` where they mean the same.

A run has a warm-up, a window and a tail. Times are of the requests that began in the window, throughputs of what ended or was written in
it, so that neither an empty server at the beginning nor an emptying one at the end is measured.
"""

import statistics
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from load.harness.outcomes import Outcome, counted, goodput, percentile, tokens_within
from models.emotions import LABELS

Mode = Literal["rate", "concurrency"]
SHARES = (0.5, 0.9, 0.95, 0.99)
STAGES = ("queue", "detect", "first_token", "generate")
LATE_SHARE, LATE_MS, CLIENT_CORES = 0.05, 5.0, 0.9  # beyond these a client has measured itself
Figures = dict[str, float]


class Objective(BaseModel):
    """What an answer must keep to count as good. A detection must come within `ttft_ms`."""

    model_config = ConfigDict(frozen=True)

    ttft_ms: float
    tpot_ms: float

    def met_by(self, one: Outcome) -> bool:
        first_s, each_s = one.ttft_s, one.tpot_s
        return one.end == "ok" and first_s is not None and first_s * 1000 <= self.ttft_ms and (each_s or 0) * 1000 <= self.tpot_ms


class Window(BaseModel):
    """Seconds of `time.monotonic`."""

    model_config = ConfigDict(frozen=True)

    from_s: float
    to_s: float

    def began(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        return [one for one in outcomes if self.from_s <= one.began_s < self.to_s]

    def ended(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        return [one for one in outcomes if self.from_s <= one.ended_s < self.to_s and one.end == "ok"]


class Run(BaseModel):
    """One level of one arm, once. `level` is a rate in requests a second, or so many users."""

    arm: str
    mode: Mode
    level: float
    repeat: int
    figures: Figures
    ends: dict[str, int]
    stages_ms: dict[str, Figures]
    personas: dict[str, Figures]

    def flat(self) -> dict[str, object]:
        """As `vllm bench serve` writes it: every figure at the top."""
        own = self.model_dump(exclude={"figures"})
        return own | {"request_rate" if self.mode == "rate" else "max_concurrency": self.level} | self.figures


def figures_of(outcomes: Sequence[Outcome], window: Window, objective: Objective, late_s: float, client_cores: float) -> Figures:
    """Everything that is one number. `late_s` is how late the client was at most, `client_cores` the CPU that its process took."""
    began, ended = window.began(outcomes), window.ended(outcomes)
    duration_s = window.to_s - window.from_s
    ends = counted(began)
    wrote = tokens_within([one for one in outcomes if one.end == "ok"], window.from_s, window.to_s)
    read = sum(one.prompt_tokens for one in ended)
    return {
        "duration": duration_s,
        "completed": ends["ok"],
        "failed": len(began) - ends["ok"] - ends["refused"],
        "refused": ends["refused"],
        "offered": len(began) / duration_s,
        "total_input_tokens": read,
        "total_output_tokens": wrote,
        "request_throughput": len(ended) / duration_s,
        "request_goodput": goodput(outcomes, objective.met_by, window.from_s, window.to_s),
        "output_throughput": wrote / duration_s,
        "total_token_throughput": (read + wrote) / duration_s,
        "client_late_ms": late_s * 1000,
        "client_cores": client_cores,
        **({"slo_attainment": sum(map(objective.met_by, began)) / len(began)} if began else {}),
        **latencies([one for one in began if one.end == "ok"]),
    }


def latencies(outcomes: Sequence[Outcome]) -> Figures:
    """Time to the first token, per output token, between pieces, and end to end."""
    found: Figures = {}
    found |= summary("ttft_ms", [one.ttft_s for one in outcomes])
    found |= summary("tpot_ms", [one.tpot_s for one in outcomes])
    found |= summary("itl_ms", [gap for one in outcomes for gap in one.itls_s])
    return found | summary("e2el_ms", [one.total_s for one in outcomes])


def summary(name: str, values_s: Sequence[float | None]) -> Figures:
    """`mean_`, `median_`, `std_` and the percentiles of some times; nothing where there are none."""
    known = [value * 1000 for value in values_s if value is not None]
    if not known:
        return {}
    found = {f"mean_{name}": statistics.fmean(known), f"median_{name}": percentile(known, 0.5), f"std_{name}": statistics.pstdev(known)}
    return found | {f"p{share * 100:.0f}_{name}": percentile(known, share) for share in SHARES}


def stages_of(outcomes: Sequence[Outcome]) -> dict[str, Figures]:
    """The server's own split, of the answers that have one."""
    found = {stage: [one.timings_ms[stage] / 1000 for one in outcomes if stage in one.timings_ms] for stage in STAGES}
    return {stage: summary("ms", values) for stage, values in found.items() if values}


def personas_of(outcomes: Sequence[Outcome]) -> dict[str, Figures]:
    """Of each persona that answered: the one that was detected, or the one that the client chose."""
    found = {}
    for label in LABELS:
        mine = [one for one in outcomes if one.end == "ok" and (one.detected or one.emotion) == label]
        if mine:
            found[label.value] = {"completed": len(mine)} | latencies(mine)
    return found


def is_saturated(figures: Figures) -> bool:
    """Whether the client was too slow for what it measured: late against the first token, or short of its one core."""
    late_ms = figures["client_late_ms"]
    late = late_ms > LATE_MS and late_ms > LATE_SHARE * figures.get("median_e2el_ms", float("inf"))
    return late or figures["client_cores"] > CLIENT_CORES
