"""Progress of trainings on the terminal: lines for one training, a table for several."""

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
# Done, total, loss, seconds left. A plain tuple: a process that receives it need not import this.
Step = tuple[int, int, float, float]
ReportStep = Callable[[Step], None]
State = Literal["waiting", "training", "done", "failed"]


def quiet_libraries() -> None:
    """Turn off the libraries' progress bars, and their warning that the head is untrained.

    The head is new on purpose, and the lines of this module show the progress.
    """
    disable_progress_bars()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()


def print_step(title: str, step: Step) -> None:
    """Print one line about a step of the training `title`."""
    done, total, loss, left_s = step
    console.print(f"{title}  step {done}/{total}  loss {loss:.3f}  {_minutes(left_s)} left")


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class ProgressLine(TrainerCallback):  # type: ignore[misc]
    """Trainer callback that reports step, loss and time left whenever the trainer logs.

    It prints a line, or passes the step to `report`.
    """

    def __init__(self, title: str, report: ReportStep | None = None) -> None:
        self.report = report or partial(print_step, title)
        self._start_s = 0.0
        self._first_step = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Note the time and the step at which this process starts or resumes."""
        self._start_s = time.monotonic()
        self._first_step = state.global_step

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        """Report the step, unless the log has no training loss."""
        if not logs or "loss" not in logs:
            return
        done = max(state.global_step - self._first_step, 1)
        step_s = (time.monotonic() - self._start_s) / done
        left_s = step_s * (state.max_steps - state.global_step)
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
        done, total, loss, left_s = self.step
        left = _minutes(left_s) if self.state == "training" else ""
        return self.stage, f"{done}/{total}", f"{loss:.3f}", left, self.result, self.state


class ProgressTable:
    """Progress of several trainings: a live table on a terminal, else one line per change.

    `stages` maps the title of each training to a short description.
    """

    def __init__(self, stages: Mapping[str, str]) -> None:
        self._rows = {title: _Row(stage) for title, stage in stages.items()}
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(get_renderable=self._table, console=console, refresh_per_second=2)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def step(self, title: str, step: Step | None) -> None:
        """Show a step. It is None for a training that has started but made no step yet."""
        row = self._rows[title]
        if row.state == "training" and row.step == step:
            return
        row.state = "training"
        row.step = step
        if step and not self._live:
            print_step(title, step)

    def end(self, title: str, state: State, result: str = "") -> None:
        """Show the end of a training. `result` is its measure on held-out data."""
        row = self._rows[title]
        row.state = state
        row.result = result
        if not self._live:
            console.print(f"{title}  {state}  {result}".rstrip())

    def _table(self) -> Table:
        table = Table("title", "stage", "step", "loss", "left", "held out", "state")
        for title, row in self._rows.items():
            table.add_row(title, *row.cells())
        return table
