"""What a run prints while it trains."""

import time

from datasets import disable_progress_bars
from rich.console import Console
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.utils import logging as transformers_logging

console = Console(highlight=False, soft_wrap=True)


def quiet_libraries() -> None:
    """One line a step is progress enough: no bars, and no report of the head that is new on purpose."""
    disable_progress_bars()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()


class ProgressLine(TrainerCallback):  # type: ignore[misc]
    """One line each time the trainer logs: step, loss, learning rate and an estimate of the time left."""

    def __init__(self, title: str) -> None:
        self.title = title
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
        step = f"{state.global_step}/{state.max_steps}"
        console.print(f"{self.title}  step {step}  loss {float(logs['loss']):.3f}  {int(left_s) // 60}:{int(left_s) % 60:02d} left")
