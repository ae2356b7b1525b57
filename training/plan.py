"""What `--dry-run` prints: what a training would do, what it needs and how long it takes, found without training.

    recipe -> rows and tokens, by the real tokenizer -> parameters, of a model without storage -> memory and time -> table

Memory is an estimate. Time is one too, from FLOPs, unless a few real steps are timed: only that loads weights.
"""

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from pydantic import BaseModel, ConfigDict, Field
from rich.table import Table
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from models.emotions import LABELS, Emotion
from models.materialize import Materialized, materialize
from models.prompt import PromptEncoder
from training.backends import Backend, choose_backend
from training.detector import Rows, trainable_model, with_trainable_part
from training.detector import make_trainer as detector_trainer
from training.mix import training_examples
from training.personas import make_trainer as persona_trainer
from training.personas import tokenised_pairs as persona_rows
from training.progress import console, quiet_libraries
from training.recipe import DetectorRecipe, PersonaRecipe
from training.sft import CHUNK_TOKENS

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


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Stage(_Frozen):
    """One fine-tuning. Rows and tokens are those of an epoch, after truncation."""

    name: str
    rows: int
    tokens: int = Field(description="for a persona: of prompt and answer")
    answer_tokens: int = Field(description="those on which a persona's loss is taken; 0 for a detector")
    longest: int = Field(description="tokens of the longest row")
    epochs: float
    steps: int


class Memory(_Frozen):
    """GiB on the device that trains: what the libraries, the data and, on a GPU, its allocator take comes on top."""

    weights: float
    gradients: float
    optimizer: float = Field(description="AdamW's two moments")
    activations: float = Field(description="of the longest batch, by the rules of thumb above")

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.activations


class Plan(_Frozen):
    """What a training comes to on this machine."""

    base: str
    backend: str
    device: str
    stages: tuple[Stage, ...]
    trainable_parameters: int
    all_parameters: int
    memory: Memory
    seconds: float = Field(description="of all stages, one after the other, without evaluation and checkpoints")
    time_basis: str = Field(description="how the time was found")


def plan_detector(recipe: DetectorRecipe, data: Path | None, measure: bool = False) -> Plan:
    """`data` is the folder of the public sets, None for the hub. `measure` times real steps. Raises LeakError."""
    base = _begin(recipe)
    rows = Rows(training_examples(recipe, data), base.folder, recipe.max_tokens)
    stage = _stage(recipe.part, [(len(ids), 0) for ids in rows.ids], recipe.epochs, recipe.batch_size * recipe.workers)
    model = _detector_model(recipe, base)
    skipped = recipe.lora_skip_layers if recipe.lora_rank else 0
    memory = _memory(model, recipe.batch_size * stage.longest * _layer_units(model, skipped) * LAYER_BYTES)
    if measure:
        timing = _timed(lambda run: detector_trainer(trainable_model(recipe, base.folder), rows, base, recipe, run), [stage])
    else:
        timing = _from_flops(model, [stage], 0)
    return _plan(base.name, "peft" if recipe.lora_rank else "transformers", [stage], model, memory, timing, recipe.workers)


def plan_personas(recipe: PersonaRecipe, chosen: Sequence[Emotion] = LABELS, measure: bool = False) -> Plan:
    """The shared stage, if the recipe has one, and those of the chosen. `measure` times real steps. Raises BackendError."""
    base, backend = _begin(recipe), choose_backend(recipe)
    parts: list[tuple[str, list[Emotion], float]] = [(persona, [persona], recipe.epochs) for persona in chosen]
    if recipe.shared_epochs:
        parts.insert(0, ("shared", list(LABELS), recipe.shared_epochs))
    encoder = PromptEncoder(base.folder / "tokenizer.json")
    stages = [_stage(name, _lengths(encoder, who, recipe), epochs, recipe.batch_size) for name, who, epochs in parts]
    model = _persona_model(recipe, base)
    memory = _memory(model, _persona_activations(recipe, backend, model, stages), recipe.four_bit)
    if measure:
        timing = _timed(lambda run: persona_trainer(parts[0][0], parts[0][1], recipe, base, None, run), stages)
    else:
        timing = _from_flops(model, stages, _head(recipe, model))
    return _plan(base.name, backend.name, stages, model, memory, timing)


def print_plan(plan: Plan) -> None:
    """One table of the stages, one of what they need."""
    stages = Table("stage", "rows", "tokens", "answer tokens", "longest", "epochs", "steps", title=f"{plan.base} on {plan.device}")
    for row in plan.stages:
        counts = (row.rows, row.tokens, row.answer_tokens, row.longest)
        stages.add_row(row.name, *(f"{count:,}" for count in counts), f"{row.epochs:g}", f"{row.steps:,}")
    needs = Table("what", "how much", show_header=False)
    needs.add_row("backend", plan.backend)
    needs.add_row("parameters", f"{plan.trainable_parameters:,} trained of {plan.all_parameters:,}")
    needs.add_row("memory", f"about {plan.memory.total:.1f} GiB: " + ", ".join(f"{part} {gib:.2f}" for part, gib in plan.memory))
    needs.add_row("time", f"{timedelta(seconds=round(plan.seconds))}: {plan.time_basis}")
    console.print(stages, needs)


def _begin(recipe: DetectorRecipe | PersonaRecipe) -> Materialized:
    quiet_libraries()
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    return materialize(recipe.base, console.print)


def _stage(name: str, lengths: list[tuple[int, int]], epochs: float, step_rows: int) -> Stage:
    """`lengths` holds a row's tokens, and how many of them are an answer's."""
    tokens, answers = zip(*lengths, strict=True)
    steps = math.ceil(epochs * math.ceil(len(lengths) / step_rows))
    counts = {"rows": len(lengths), "tokens": sum(tokens), "answer_tokens": sum(answers), "longest": max(tokens)}
    return Stage(name=name, epochs=epochs, steps=steps, **counts)


def _lengths(encoder: PromptEncoder, who: Sequence[Emotion], recipe: PersonaRecipe) -> list[tuple[int, int]]:
    """TRL leaves out a row of whose answer nothing is left."""
    masks = [mask[: recipe.max_tokens] for mask in persona_rows(encoder, who, False)["completion_mask"]]
    return [(len(mask), sum(mask)) for mask in masks if any(mask)]


def _detector_model(recipe: DetectorRecipe, base: Materialized) -> Any:
    """What `trainable_model` makes, without storage."""
    config = AutoConfig.from_pretrained(base.folder, num_labels=len(LABELS))
    dtype = torch.float32 if recipe.lora_rank is None else torch.bfloat16
    with torch.device("meta"):
        return with_trainable_part(recipe, AutoModelForSequenceClassification.from_config(config, dtype=dtype))


def _persona_model(recipe: PersonaRecipe, base: Materialized) -> Any:
    """The shapes of what a backend loads, without storage: scale and dropout make no difference to them."""
    lora = LoraConfig(r=recipe.lora_rank, target_modules=list(recipe.lora_modules), task_type="CAUSAL_LM")
    with torch.device("meta"):
        return get_peft_model(AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base.folder), dtype=torch.bfloat16), lora)


def _layer_units(model: Any, skipped: int = 0) -> int:
    config = model.config.get_text_config()
    return int((config.num_hidden_layers - skipped) * config.hidden_size)


def _persona_activations(recipe: PersonaRecipe, backend: Backend, model: Any, stages: list[Stage]) -> float:
    kept = CHECKPOINT_BYTES if backend.name == "unsloth" else LAYER_BYTES
    layers = recipe.batch_size * max(stage.longest for stage in stages) * _layer_units(model) * kept
    return float(layers + CHUNK_TOKENS * model.config.get_text_config().vocab_size * LOGIT_BYTES)


def _memory(model: Any, activations: float, four_bit: bool = False) -> Memory:
    trained = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters() if parameter.requires_grad)
    words = model.get_input_embeddings().weight

    def size(parameter: torch.nn.Parameter) -> float:
        quantised = four_bit and parameter.ndim == 2 and parameter is not words and not parameter.requires_grad
        return float(parameter.numel() * (FOUR_BITS if quantised else parameter.element_size()))

    weights = sum(map(size, model.parameters()))
    return Memory(weights=weights / GIB, gradients=trained / GIB, optimizer=2 * trained / GIB, activations=activations / GIB)


def _head(recipe: PersonaRecipe, model: Any) -> int:
    """Parameters of the head that a step uses: see `training.sft`."""
    config = model.config.get_text_config()
    whole = recipe.vocabulary is None or torch.cuda.is_available()
    return int(config.hidden_size * (config.vocab_size if whole else min(recipe.vocabulary, config.vocab_size)))


def _from_flops(model: Any, stages: list[Stage], head: int) -> Timing:
    """6 FLOPs a parameter and token, 4 where the base is frozen. The word embeddings are only looked up."""
    body = sum(parameter.numel() for parameter in model.parameters()) - model.get_input_embeddings().weight.numel()
    products = sum(stage.epochs * (body * stage.tokens + head * stage.answer_tokens) for stage in stages)
    rate = _matmul_rate()
    basis = f"an estimate from FLOPs, at the {rate / 1e9:,.0f} GFLOP/s of a bf16 matrix product here; real steps are slower"
    return products * (4 if isinstance(model, PeftModel) else 6) / rate, basis


def _matmul_rate() -> float:
    """FLOPs a second of a bf16 matrix product on the device that would train."""
    device, side = ("cuda", 8192) if torch.cuda.is_available() else ("cpu", 1024)
    matrix = torch.randn(side, side, device=device).bfloat16()
    matrix @ matrix
    began_s, times, passed_s = _now(), 0, 0.0
    while passed_s < MATMUL_S:
        matrix @ matrix
        times, passed_s = times + 1, _now() - began_s
    return 2 * float(side) ** 3 * times / passed_s


def _timed(make: Make, stages: list[Stage]) -> Timing:
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


def _plan(base: str, backend: str, stages: list[Stage], model: Any, memory: Memory, timing: Timing, workers: int = 1) -> Plan:
    """Workers with a GPU each divide the time; without one they share this machine."""
    parameters, gpu = list(model.parameters()), torch.cuda.is_available()
    return Plan(
        base=base,
        backend=backend,
        device=torch.cuda.get_device_name() if gpu else "cpu",
        stages=tuple(stages),
        trainable_parameters=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        all_parameters=sum(parameter.numel() for parameter in parameters),
        memory=memory,
        seconds=timing[0] / (workers if gpu else 1),
        time_basis=timing[1],
    )
