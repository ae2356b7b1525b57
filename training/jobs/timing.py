"""Time that a training takes: an estimate from FLOPs, or a measurement of a few real steps."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftModel
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from models.machine.precision import has_gpu, training_device, training_dtype
from training.jobs.stage import PlannedStage
from training.recipe import PersonaRecipe

MATMUL_S = 0.3
TIMED_STEPS = 5

MakeTrainer = Callable[[Path], Trainer]


class Timing(NamedTuple):
    """Time of all stages of a training."""

    seconds: float | None
    basis: str  # how the time was found, in words


def head_parameters(recipe: PersonaRecipe, model: Any) -> int:
    """Return the parameters of the LM head in a training step, see `training.personas.loss`."""
    config = model.config.get_text_config()
    if recipe.vocabulary is None or has_gpu():
        return int(config.hidden_size * config.vocab_size)
    return int(config.hidden_size * min(recipe.vocabulary, config.vocab_size))


def estimate_from_flops(model: Any, stages: Sequence[PlannedStage], head: int) -> Timing:
    """Estimate the time on this machine from the FLOPs; `head` as in `training_flops`."""
    rate = matmul_rate()
    return Timing(
        training_flops(model, stages, head) / rate,
        f"an estimate from FLOPs, at the {rate / 1e9:,.0f} GFLOP/s of a matrix product on "
        "this machine; real steps are slower",
    )


def training_flops(model: Any, stages: Sequence[PlannedStage], head: int) -> float:
    """Return 6 FLOPs per parameter and token, 4 if the base is frozen.

    The word embeddings are only looked up, so they do not count. `head` are the parameters of an LM
    head, which runs on answer tokens only.
    """
    embeddings = model.get_input_embeddings().weight.numel()
    body = sum(parameter.numel() for parameter in model.parameters()) - embeddings
    products = sum(
        stage.epochs * (body * stage.tokens + head * stage.answer_tokens) for stage in stages
    )
    return float(products * (4 if isinstance(model, PeftModel) else 6))


def matmul_rate() -> float:
    """Measure the FLOP/s of a matrix product on the device and in the type of training."""
    side = 8192 if has_gpu() else 1024
    matrix = torch.randn(side, side, device=training_device()).to(training_dtype())
    matrix @ matrix
    start_s = _now_s()
    products = 0
    elapsed_s = 0.0
    while elapsed_s < MATMUL_S:
        matrix @ matrix
        products += 1
        elapsed_s = _now_s() - start_s
    return 2 * float(side) ** 3 * products / elapsed_s


def measure_steps(make_trainer: MakeTrainer, stages: Sequence[PlannedStage]) -> Timing:
    """Time a few steps of the first stage, and scale them to the tokens of all stages."""
    stopwatch = _Stopwatch()
    with tempfile.TemporaryDirectory() as run:
        trainer = make_trainer(Path(run))
        trainer.args.include_num_input_tokens_seen = "non_padding"
        trainer.add_callback(stopwatch)
        trainer.train()
    steps, seconds, tokens = stopwatch.result()
    total = sum(stage.epochs * stage.tokens for stage in stages)
    return Timing(
        seconds / tokens * total, f"measured: {steps} steps at {tokens / seconds:,.0f} tokens/s"
    )


class _Stopwatch(TrainerCallback):  # type: ignore[misc]
    """Record time and tokens at each step, and stop the training after a few steps.

    It prevents checkpoints and evaluations.
    """

    def __init__(self) -> None:
        self._marks: list[tuple[float, float]] = []  # seconds, tokens seen

    def result(self) -> tuple[int, float, float]:
        """Return steps, seconds and tokens. The first step warms up and does not count."""
        marks = self._marks[1:] if len(self._marks) > 2 else self._marks
        start_s, first_token = marks[0]
        end_s, last_token = marks[-1]
        return len(marks) - 1, end_s - start_s, last_token - first_token

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self._marks.append((_now_s(), state.num_input_tokens_seen))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        self._marks.append((_now_s(), state.num_input_tokens_seen))
        control.should_training_stop |= len(self._marks) > TIMED_STEPS + 1
        control.should_save = False

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        control.should_evaluate = False


def _now_s() -> float:
    if has_gpu():
        torch.cuda.synchronize()
    return time.perf_counter()
