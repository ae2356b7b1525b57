"""Levels and durations of the load test."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Plan:
    """Levels and durations of a measurement."""

    users: tuple[int, ...]
    rates: tuple[float, ...]  # as shares of the arm's capacity
    repeats: int
    warmup_s: float
    measure_s: float
    tail_s: float
    # A further repeat starts only if it is likely to end within this time since the arm's start.
    budget_s: float

    def shortened(self, share: float) -> "Plan":
        """Scale all durations of a run."""
        return replace(
            self,
            warmup_s=self.warmup_s * share,
            measure_s=self.measure_s * share,
            tail_s=self.tail_s * share,
        )


FULL = Plan(
    users=(1, 8, 32),
    rates=(0.5, 0.75, 0.9, 1.2),
    repeats=2,
    warmup_s=4,
    measure_s=8,
    tail_s=2,
    budget_s=270,
)
SHORT = Plan(
    users=(1, 8),
    rates=(0.5, 1.5),
    repeats=1,
    warmup_s=0.5,
    measure_s=1.5,
    tail_s=0.5,
    budget_s=60,
)
