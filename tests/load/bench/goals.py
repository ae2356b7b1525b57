"""A measured goal, many of them as a table for people and as JSON for programs."""

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from rich.table import Table


class Goal(BaseModel):
    """`value` is the median of several rounds, `low` and `high` are the least and the greatest of them."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: float
    goal: float | None = Field(description="what was to be reached; None is reported only")
    low: float
    high: float
    unit: str
    at_most: bool = Field(default=False, exclude=True)

    @property
    def reached(self) -> bool | None:
        if self.goal is None or math.isnan(self.value):
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal


def measured(name: str, values: Sequence[float], goal: float | None, unit: str, at_most: bool = False) -> Goal:
    """Of one value a round."""
    return Goal(name=name, value=statistics.median(values), goal=goal, low=min(values), high=max(values), unit=unit, at_most=at_most)


def table(goals: Sequence[Goal], title: str) -> Table:
    found = Table("what", "seen", "from, to", "goal", "", title=title)
    for one in goals:
        word = {True: "[green]reached[/]", False: "[red]missed[/]", None: ""}[one.reached]
        wanted = "" if one.goal is None else f"{'at most' if one.at_most else 'at least'} {one.goal:g}"
        found.add_row(one.name, f"{one.value:.3g} {one.unit}", f"{one.low:.3g}, {one.high:.3g}", wanted, word)
    return found


def write(goals: Sequence[Goal], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps([one.model_dump(mode="json") for one in goals], indent=1) + "\n", "utf-8")
