"""Aggregation of runs to points of a curve, and the knee of the curve.

At rates, the knee is the highest rate at which nine of ten requests meet the objective (DistServe,
OSDI 2024, arXiv:2401.09670). With users who wait, it is the number of users with the highest
throughput divided by latency (Kleinrock, Power and deterministic rules of thumb, 1979).
"""

import math
import statistics
from collections.abc import Sequence

from pydantic import BaseModel, Field

from load.harness.runs import Mode, Run

MIN_ATTAINMENT = 0.9


class Spread(BaseModel):
    """Median, lowest and highest value of the repeats."""

    value: float
    low: float
    high: float


class Point(BaseModel):
    """All repeats of one level of one arm."""

    arm: str
    mode: Mode
    level: float
    metrics: dict[str, Spread]

    def value(self, name: str) -> float:
        """Return the median of a metric; NaN if a repeat lacks it."""
        return self.metrics[name].value if name in self.metrics else math.nan


class Knee(BaseModel):
    """Knee of one arm's curve."""

    arm: str
    mode: Mode
    level: float | None = Field(description="None if the knee is outside the measured levels")
    description: str


def aggregate_runs(runs: Sequence[Run]) -> list[Point]:
    """Aggregate the repeats: arms in the order of measurement, then modes, then levels."""
    arms = list(dict.fromkeys(run.arm for run in runs))
    levels = sorted(
        {(run.arm, run.mode, run.level) for run in runs},
        key=lambda level: (arms.index(level[0]), *level[1:]),
    )
    return [
        _point([run for run in runs if (run.arm, run.mode, run.level) == level]) for level in levels
    ]


def _point(repeats: Sequence[Run]) -> Point:
    first = repeats[0]
    names = [name for name in first.metrics if all(name in run.metrics for run in repeats)]
    metrics = {name: spread([run.metrics[name] for run in repeats]) for name in names}
    return Point(arm=first.arm, mode=first.mode, level=first.level, metrics=metrics)


def spread(values: Sequence[float]) -> Spread:
    """Compute the median, lowest and highest value."""
    return Spread(value=statistics.median(values), low=min(values), high=max(values))


def find_knees(points: Sequence[Point]) -> list[Knee]:
    """Find the knee of each arm and mode."""
    curves = dict.fromkeys((point.arm, point.mode) for point in points)
    return [
        _knee(arm, mode, [point for point in points if (point.arm, point.mode) == (arm, mode)])
        for arm, mode in curves
    ]


def _knee(arm: str, mode: Mode, points: Sequence[Point]) -> Knee:
    ordered = sorted(points, key=lambda point: point.level)
    find = rate_knee if mode == "rate" else power_knee
    level, description = find(ordered)
    return Knee(arm=arm, mode=mode, level=level, description=description)


def rate_knee(points: Sequence[Point]) -> tuple[float | None, str]:
    """Find the last rate before the first one that misses the objective.

    Args:
        points: Points of one arm in the order of their rates.

    Returns:
        The rate, or None if the lowest one misses already, and a description.
    """
    met = 0
    while met < len(points) and points[met].value("slo_attainment") >= MIN_ATTAINMENT:
        met += 1
    missed = "fewer than nine of ten requests meet the objective"
    if not met:
        return None, f"below {points[0].level:g}/s, the lowest measured rate: there {missed}"
    level = points[met - 1].level
    if met == len(points):
        return level, f"at {level:g}/s or above, the highest measured rate"
    return level, f"at {level:g}/s; at {points[met].level:g}/s {missed}"


def power_knee(points: Sequence[Point]) -> tuple[float | None, str]:
    """Find the number of users with the highest throughput divided by latency.

    Returns:
        The number of users, or None if there was no reply at all, and a description.
    """
    best = max(points, key=_power)
    if _power(best) <= 0:
        return None, "no request was completed"
    level = best.level
    return level, f"at {level:g} users throughput divided by latency is highest"


def _power(point: Point) -> float:
    power = point.value("request_throughput") / point.value("mean_e2el_ms")
    return power if math.isfinite(power) else -1.0


def growth_exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Fit a power law: 0 means constant, 1 means proportional to the size."""
    slope, _ = statistics.linear_regression(
        [math.log(size) for size in sizes], [math.log(value) for value in values]
    )
    return slope
