"""What a run prints while it trains: lines of one training, or a table of several at once."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Literal, Self

from datasets import disable_progress_bars
from rich.console import Console
from rich.live import Live
from rich.table import Table
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging as transformers_logging

console = Console(highlight=False, soft_wrap=True)
Step = tuple[int, int, float, float]  # done, of how many, loss, seconds left; plain, so that it travels without this module
Report = Callable[[Step], None]
State = Literal["waiting", "training", "done", "failed"]


def quiet_libraries() -> None:
    """One line a step is progress enough: no bars, and no report of the head that is new on purpose."""
    disable_progress_bars()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()


def print_step(title: str, step: Step) -> None:
    done, steps, loss, left_s = step
    console.print(f"{title}  step {done}/{steps}  loss {loss:.3f}  {_minutes(left_s)} left")


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class ProgressLine(TrainerCallback):  # type: ignore[misc]
    """Each time the trainer logs: step, loss and an estimate of the time left, as one line or to `report`."""

    def __init__(self, title: str, report: Report | None = None) -> None:
        self.report = report or partial(print_step, title)
        self._began_s = 0.0
        self._first_step = 0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self._began_s, self._first_step = time.monotonic(), state.global_step

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float] | None = None, **_: object
    ) -> None:
        if not logs or "loss" not in logs:
            return
        done = max(state.global_step - self._first_step, 1)
        left_s = (time.monotonic() - self._began_s) / done * (state.max_steps - state.global_step)
        self.report((state.global_step, state.max_steps, float(logs["loss"]), left_s))


@dataclass
class _Row:
    stage: str
    state: State = "waiting"
    step: Step | None = None
    result: str = ""

    def cells(self) -> tuple[str, ...]:
        if self.step is None:
            return self.stage, "", "", "", self.result, self.state
        done, steps, loss, left_s = self.step
        left = _minutes(left_s) if self.state == "training" else ""
        return self.stage, f"{done}/{steps}", f"{loss:.3f}", left, self.result, self.state


class ProgressTable:
    """What several trainings do, by their titles: a live table on a terminal, else one line a change."""

    def __init__(self, stages: Mapping[str, str]) -> None:
        self._rows = {title: _Row(stage) for title, stage in stages.items()}
        self._live = Live(get_renderable=self._table, console=console, refresh_per_second=2) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def step(self, title: str, step: Step | None) -> None:
        """`step` is None for a training that has begun but has made no step yet."""
        row = self._rows[title]
        if (row.state, row.step) == ("training", step):
            return
        row.state, row.step = "training", step
        if step and not self._live:
            print_step(title, step)

    def end(self, title: str, state: State, result: str = "") -> None:
        """`result` is what the finished model measures on held-out data."""
        self._rows[title].state, self._rows[title].result = state, result
        if not self._live:
            console.print(f"{title}  {state}  {result}".rstrip())

    def _table(self) -> Table:
        table = Table("title", "stage", "step", "loss", "left", "held out", "state")
        for title, row in self._rows.items():
            table.add_row(title, *row.cells())
        return table
