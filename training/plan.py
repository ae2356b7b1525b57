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
from training.detector import _trainer as detector_trainer
from training.mix import training_examples
from training.personas import _rows as persona_rows
from training.personas import _trainer as persona_trainer
from training.progress import console, quiet_libraries
from training.recipe import DetectorRecipe, PersonaRecipe
from training.sft import CHUNK_TOKENS

GIB = 2**30
MATMUL_S = 0.3
TIMED_STEPS = 5
# Rules of thumb for activations. Bytes a token, layer and hidden unit: in 16 bits, without attention scores (Korthikanti et al. 2022,
# https://arxiv.org/abs/2205.05198), or what gradient checkpointing keeps; bytes a logit: it, its softmax and its slope, in float32.
LAYER_BYTES, CHECKPOINT_BYTES, LOGIT_BYTES = 34, 2, 12
FOUR_BITS = 0.5


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
    stage = _stage(recipe.part, [(len(ids), 0) for ids in rows.ids], recipe, recipe.epochs)
    dtype = torch.float32 if recipe.lora_rank is None else torch.bfloat16
    with torch.device("meta"):
        config = AutoConfig.from_pretrained(base.folder, num_labels=len(LABELS))
        model = with_trainable_part(recipe, AutoModelForSequenceClassification.from_config(config, dtype=dtype))
    skipped = recipe.lora_skip_layers if recipe.lora_rank else 0
    activations = recipe.batch_size * stage.longest * _layer_units(model, skipped) * LAYER_BYTES
    make = (lambda run: detector_trainer(trainable_model(recipe, base.folder), rows, base, recipe, run)) if measure else None
    return _plan(recipe, base, "transformers" if recipe.lora_rank is None else "peft", model, (stage,), 0, _memory(model, activations), make)


def plan_personas(recipe: PersonaRecipe, chosen: Sequence[Emotion] = LABELS, measure: bool = False) -> Plan:
    """The shared stage, if the recipe has one, and those of the chosen. `measure` times real steps. Raises BackendError."""
    base, backend = _begin(recipe), choose_backend(recipe)
    parts = [("shared", list(LABELS), recipe.shared_epochs)] if recipe.shared_epochs else []
    parts += [(str(persona), [persona], recipe.epochs) for persona in chosen]
    encoder = PromptEncoder(base.folder / "tokenizer.json")
    stages = tuple(_stage(name, _lengths(encoder, who, recipe), recipe, epochs) for name, who, epochs in parts)
    model = _persona_model(recipe, base)
    memory = _memory(model, _persona_activations(recipe, backend, model, stages), recipe.four_bit)
    title, who, _ = parts[0]
    make = (lambda run: persona_trainer(title, who, recipe, base, None, run)) if measure else None
    return _plan(recipe, base, backend.name, model, stages, _head(recipe, model), memory, make)
