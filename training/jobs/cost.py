"""What a training costs in memory and time: estimates by stated rules, or real steps, timed."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from pydantic import Field
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from models.schema import FrozenModel
from training.personas.backends import Backend
from training.personas.loss import CHUNK_TOKENS
from training.recipe import PersonaRecipe

Make = Callable[[Path], Trainer]
Timing = tuple[float, str]  # seconds, and how they were found
GIB = 2**30
MATMUL_S = 0.3
TIMED_STEPS = 5
# Rules of thumb for activations. Bytes a token, layer and hidden unit: 34 in 16 bits (Korthikanti et al. 2022,
# https://arxiv.org/abs/2205.05198), twice that under autocast (measured: MPNet 41, Gemma 3 72, MiniLM with dropout 118), 2 where a
# checkpoint keeps the layer's input alone. Bytes a logit: it, its softmax and its slope, in float32.
LAYER_BYTES, CHECKPOINT_BYTES, LOGIT_BYTES = 70, 2, 12
FOUR_BITS = 0.5  # bytes a parameter


class Stage(FrozenModel):
    """One fine-tuning. Rows and tokens are those of an epoch, after truncation."""

    name: str
    rows: int
    tokens: int = Field(description="for a persona: of prompt and answer")
    answer_tokens: int = Field(description="those on which a persona's loss is taken; 0 for a detector")
    longest: int = Field(description="tokens of the longest row")
    epochs: float
    steps: int


class Memory(FrozenModel):
    """GiB on the device that trains: what the libraries, the data and, on a GPU, its allocator take comes on top."""

    weights: float
    gradients: float
    optimizer: float = Field(description="AdamW's two moments")
    activations: float = Field(description="of the longest batch, by the rules of thumb above")

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.activations


def layer_units(model: Any, skipped: int = 0) -> int:
    config = model.config.get_text_config()
    return int((config.num_hidden_layers - skipped) * config.hidden_size)


def persona_activations(recipe: PersonaRecipe, backend: Backend, model: Any, stages: list[Stage]) -> float:
    kept = CHECKPOINT_BYTES if backend.name == "unsloth" else LAYER_BYTES
    layers = recipe.batch_size * max(stage.longest for stage in stages) * layer_units(model) * kept
    return float(layers + CHUNK_TOKENS * model.config.get_text_config().vocab_size * LOGIT_BYTES)


def memory_of(model: Any, activations: float, four_bit: bool = False) -> Memory:
    trained = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters() if parameter.requires_grad)
    words = model.get_input_embeddings().weight

    def size(parameter: torch.nn.Parameter) -> float:
        quantised = four_bit and parameter.ndim == 2 and parameter is not words and not parameter.requires_grad
        return float(parameter.numel() * (FOUR_BITS if quantised else parameter.element_size()))

    weights = sum(map(size, model.parameters()))
    return Memory(weights=weights / GIB, gradients=trained / GIB, optimizer=2 * trained / GIB, activations=activations / GIB)


def head_parameters(recipe: PersonaRecipe, model: Any) -> int:
    """Parameters of the head that a step uses: see `training.personas.loss`."""
    config = model.config.get_text_config()
    whole = recipe.vocabulary is None or torch.cuda.is_available()
    return int(config.hidden_size * (config.vocab_size if whole else min(recipe.vocabulary, config.vocab_size)))


def from_flops(model: Any, stages: list[Stage], head: int) -> Timing:
    """6 FLOPs a parameter and token, 4 where the base is frozen. The word embeddings are only looked up."""
    body = sum(parameter.numel() for parameter in model.parameters()) - model.get_input_embeddings().weight.numel()
    products = sum(stage.epochs * (body * stage.tokens + head * stage.answer_tokens) for stage in stages)
    rate = matmul_rate()
    basis = f"an estimate from FLOPs, at the {rate / 1e9:,.0f} GFLOP/s of a bf16 matrix product here; real steps are slower"
    return products * (4 if isinstance(model, PeftModel) else 6) / rate, basis


def matmul_rate() -> float:
    """FLOPs a second of a bf16 matrix product on the device that would train."""
    device, side = ("cuda", 8192) if torch.cuda.is_available() else ("cpu", 1024)
    matrix = torch.randn(side, side, device=device).bfloat16()
    matrix @ matrix
    began_s, times, passed_s = _now(), 0, 0.0
    while passed_s < MATMUL_S:
        matrix @ matrix
        times, passed_s = times + 1, _now() - began_s
    return 2 * float(side) ** 3 * times / passed_s


def timed(make: Make, stages: list[Stage]) -> Timing:
    """The time that a token takes in some steps of the first stage, times the tokens of all stages."""
    watch = _Stopwatch()
    with tempfile.TemporaryDirectory() as run:
        trainer = make(Path(run))
        trainer.args.include_num_input_tokens_seen = "non_padding"
        trainer.add_callback(watch)
        trainer.train()
    marks = watch.marks[1:] if len(watch.marks) > 2 else watch.marks  # the first step warms up
    seconds, tokens = (last - first for first, last in zip(marks[0], marks[-1], strict=True))
    total = sum(stage.epochs * stage.tokens for stage in stages)
    return seconds / tokens * total, f"measured: {len(marks) - 1} steps at {tokens / seconds:,.0f} tokens/s"


class _Stopwatch(TrainerCallback):  # type: ignore[misc]
    """Notes time and tokens at the begin and after each step, and ends the training soon, without checkpoint or evaluation."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, float]] = []

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self.marks.append((_now(), state.num_input_tokens_seen))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self.marks.append((_now(), state.num_input_tokens_seen))
        control.should_training_stop |= len(self.marks) > TIMED_STEPS + 1
        control.should_save = False

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        control.should_evaluate = False


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
