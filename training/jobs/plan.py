"""What `--dry-run` prints: what a training would do, what it needs and how long it takes, found without training.

    recipe -> rows and tokens, by the real tokenizer -> parameters, of a model without storage -> memory and time -> table

Memory is an estimate. Time is one too, from FLOPs, unless a few real steps are timed: only that loads weights.
"""

import math
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from pydantic import Field
from rich.table import Table
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from models.emotions import LABELS, Emotion
from models.prompt import PromptEncoder
from models.schema import FrozenModel
from models.weights.cache import Materialized, materialize
from training.datasets.mixture import training_examples
from training.detector.train import Rows, trainable_model, with_trainable_part
from training.detector.train import make_trainer as detector_trainer
from training.jobs.cost import (
    LAYER_BYTES,
    Memory,
    Stage,
    Timing,
    from_flops,
    head_parameters,
    layer_units,
    memory_of,
    persona_activations,
    timed,
)
from training.personas.backends import choose_backend
from training.personas.trainer import make_trainer as persona_trainer
from training.personas.trainer import tokenised_pairs as persona_rows
from training.recipe import DetectorRecipe, PersonaRecipe
from training.runs.progress import console, quiet_libraries


class Plan(FrozenModel):
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
    memory = memory_of(model, recipe.batch_size * stage.longest * layer_units(model, skipped) * LAYER_BYTES)
    if measure:
        timing = timed(lambda run: detector_trainer(trainable_model(recipe, base.folder), rows, base, recipe, run), [stage])
    else:
        timing = from_flops(model, [stage], 0)
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
    memory = memory_of(model, persona_activations(recipe, backend, model, stages), recipe.four_bit)
    if measure:
        timing = timed(lambda run: persona_trainer(parts[0][0], parts[0][1], recipe, base, None, run), stages)
    else:
        timing = from_flops(model, stages, head_parameters(recipe, model))
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
