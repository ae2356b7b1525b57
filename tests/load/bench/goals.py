"""Measured values with their goals, as a table for people and as JSON for programs."""

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from rich.table import Table

STATUS = {True: "[green]reached[/]", False: "[red]missed[/]", None: ""}


class Goal(BaseModel):
    """Measured value and its goal."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: float = Field(description="median of the rounds")
    goal: float | None = Field(description="None for a value that is only reported")
    low: float = Field(description="lowest round")
    high: float = Field(description="highest round")
    unit: str
    at_most: bool = Field(default=False, exclude=True, description="lower values are better")

    @property
    def reached(self) -> bool | None:
        """State whether the goal is reached; None without a goal or a value."""
        if self.goal is None or math.isnan(self.value):
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal

    def describe_goal(self) -> str:
        """Format the goal; empty without one."""
        if self.goal is None:
            return ""
        return f"{'at most' if self.at_most else 'at least'} {self.goal:g}"


def from_rounds(
    name: str, values: Sequence[float], unit: str, goal: float | None = None, at_most: bool = False
) -> Goal:
    """Summarize one value per round.

    Args:
        name: Name in the table.
        values: One value for each round.
        unit: Unit of the values; "x" for a ratio.
        goal: Goal for the median, if there is one.
        at_most: The goal is a maximum instead of a minimum.
    """
    return Goal(
        name=name,
        value=statistics.median(values),
        goal=goal,
        low=min(values),
        high=max(values),
        unit=unit,
        at_most=at_most,
    )


def build_table(goals: Sequence[Goal], title: str) -> Table:
    """Build a table with one row for each goal."""
    table = Table("measurement", "median", "range", "goal", "", title=title)
    for goal in goals:
        table.add_row(
            goal.name,
            f"{goal.value:.3g} {goal.unit}",
            f"{goal.low:.3g} to {goal.high:.3g}",
            goal.describe_goal(),
            STATUS[goal.reached],
        )
    return table


def write(goals: Sequence[Goal], file: Path) -> None:
    """Write the goals as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [goal.model_dump(mode="json") for goal in goals]
    file.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
