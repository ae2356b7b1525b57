"""Many runs as points of a curve, and where the curve bends.

Under a rate the knee is the highest one at which nine of ten requests still meet the objective (DistServe, OSDI 2024, arXiv:2401.09670).
With users who wait it is where throughput over delay is greatest (Kleinrock, Power and deterministic rules of thumb, 1979).
"""

import math
import statistics
from collections.abc import Sequence

from pydantic import BaseModel

from load.harness.metrics import Mode, Run

ATTAINED = 0.9


class Spread(BaseModel):
    """The median of the repeats, the least and the greatest."""

    value: float
    low: float
    high: float


class Point(BaseModel):
    """All repeats of one level of one arm."""

    arm: str
    mode: Mode
    level: float
    figures: dict[str, Spread]

    def value(self, name: str) -> float:
        """NaN for what no repeat has."""
        return self.figures[name].value if name in self.figures else math.nan


class Knee(BaseModel):
    """`level` None says that the curve bends below the least level, or beyond the greatest: `words` tell which."""

    arm: str
    mode: Mode
    level: float | None
    words: str


def points_of(runs: Sequence[Run]) -> list[Point]:
    """Arms in the order in which they were measured, then modes and levels in order."""
    arms = list(dict.fromkeys(run.arm for run in runs))
    levels = sorted({(run.arm, run.mode, run.level) for run in runs}, key=lambda level: (arms.index(level[0]), *level[1:]))
    return [_point([run for run in runs if (run.arm, run.mode, run.level) == level]) for level in levels]


def _point(repeats: Sequence[Run]) -> Point:
    names = [name for name in repeats[0].figures if all(name in run.figures for run in repeats)]
    return Point(
        arm=repeats[0].arm,
        mode=repeats[0].mode,
        level=repeats[0].level,
        figures={name: spread([run.figures[name] for run in repeats]) for name in names},
    )


def spread(values: Sequence[float]) -> Spread:
    return Spread(value=statistics.median(values), low=min(values), high=max(values))


def knees_of(points: Sequence[Point]) -> list[Knee]:
    """One of each arm and mode."""
    kinds = dict.fromkeys((point.arm, point.mode) for point in points)
    return [_knee(arm, mode, [p for p in points if (p.arm, p.mode) == (arm, mode)]) for arm, mode in kinds]


def _knee(arm: str, mode: Mode, points: Sequence[Point]) -> Knee:
    ordered = sorted(points, key=lambda point: point.level)
    level, words = rate_knee(ordered) if mode == "rate" else power_knee(ordered)
    return Knee(arm=arm, mode=mode, level=level, words=words)


def rate_knee(points: Sequence[Point]) -> tuple[float | None, str]:
    """Of points in the order of their rates. Whatever comes after the first rate that misses does not count."""
    kept = 0
    while kept < len(points) and points[kept].value("slo_attainment") >= ATTAINED:
        kept += 1
    if not kept:
        return None, f"below {points[0].level:g}/s, the least that was tried: under nine of ten requests meet the objective there"
    level = points[kept - 1].level
    if kept == len(points):
        return level, f"at {level:g}/s or beyond, the greatest that was tried"
    return level, f"at {level:g}/s; at {points[kept].level:g}/s under nine of ten requests meet the objective"


def power_knee(points: Sequence[Point]) -> tuple[float | None, str]:
    """Of points in the order of their users."""
    powers = [point.value("request_throughput") / point.value("mean_e2el_ms") for point in points]
    known = [power if math.isfinite(power) else -1.0 for power in powers]
    best = max(range(len(points)), key=lambda number: known[number])
    if known[best] <= 0:
        return None, "nothing was answered"
    return points[best].level, f"at {points[best].level:g} users throughput over delay is greatest"


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of a straight line through the logarithms: 0 does not grow, 1 grows in proportion."""
    slope, _ = statistics.linear_regression([math.log(size) for size in sizes], [math.log(value) for value in values])
    return slope
