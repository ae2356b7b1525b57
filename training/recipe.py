"""Recipes: the settings of a training run, read from `training/recipes/*.toml`.

recipe file -> overrides of the command line (`field=value`) -> validated recipe -> run folder
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from models.manifest import Pooling
from models.schema import FrozenModel
from training.errors import RecipeError

RECIPES = Path(__file__).parent / "recipes"
PairSet = Literal["literary", "plain", "simple"]
# Folder of each set in training/data.
PAIR_FOLDERS: dict[PairSet, str] = {"literary": "personas", "plain": "plain", "simple": "simple"}


class _Recipe(FrozenModel):
    """Fields that all recipes share."""

    base: str = Field(
        description="name in models/weights/catalog.toml, or a folder in the transformers layout"
    )
    seed: int = Field(
        default=0, description="seed of the data order and of newly initialised weights"
    )
    batch_size: int = Field(default=8, ge=1, description="rows per batch and device")
    threads: int | None = Field(
        default=None,
        ge=1,
        description="CPU threads; none: torch's choice, but no more than the usable cores",
    )
    save_steps: int = Field(
        default=100,
        ge=1,
        description="steps between checkpoints; an interrupted run resumes at the last one",
    )

    @classmethod
    def read(cls, name: str | Path, overrides: Sequence[str] = ()) -> Self:
        """Read a recipe by its name in `training/recipes`, or a TOML file by its path.

        `overrides` are `field=value` strings that replace fields. Raises RecipeError.
        """
        file = Path(name) if Path(name).suffix == ".toml" else RECIPES / f"{name}.toml"
        try:
            values = tomllib.loads(file.read_text("utf-8"))
            return cls.model_validate(values | _parse_overrides(overrides))
        except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
            raise RecipeError(f"{file}: {error}") from error

    @classmethod
    def of_record(cls, values: Mapping[str, object]) -> Self:
        """Build the recipe that a run has recorded.

        A field that is newer than the record has its default. Fields that did nothing in recipes of
        this kind, and that they no longer have, are left out. Raises ValidationError.
        """
        without_effect = _ScalableRecipe.model_fields.keys() - cls.model_fields.keys()
        return cls.model_validate(
            {name: value for name, value in values.items() if name not in without_effect}
        )


def _parse_overrides(overrides: Iterable[str]) -> dict[str, object]:
    values = {}
    for override in overrides:
        field, separator, value = override.partition("=")
        if not separator:
            raise RecipeError(f"invalid --set {override!r}: expected field=value")
        values[field] = _parse_value(value)
    return values


def _parse_value(value: str) -> object:
    """Parse a value as TOML. `none` is None, and a value that is not TOML is a string."""
    if value == "none":
        return None
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


class _ScalableRecipe(_Recipe):
    """Fields of a training that fits several sizes of GPU, and that Ray can spread."""

    accumulation_steps: int = Field(
        default=1,
        ge=1,
        description="batches per optimiser step: fewer rows at once with the same result",
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="keep only the input of each layer and compute it again in the backward pass; "
        "a third more work. Unsloth always does",
    )
    max_tokens: int = Field(
        default=128, ge=8, le=8192, description="tokens; longer texts are truncated"
    )
    worker_cpus: float = Field(
        default=1, gt=0, description="CPUs that Ray reserves per worker, or per persona"
    )
    worker_gpus: float = Field(
        default=0, ge=0, description="GPUs that Ray reserves per worker, or per persona"
    )

    @property
    def step_rows(self) -> int:
        """Rows per optimiser step and device."""
        return self.batch_size * self.accumulation_steps


class DetectorRecipe(_ScalableRecipe):
    """Settings of a six-way classifier: base weights, trained layers and the mix of data."""

    part: Literal["detector", "judge"] = Field(
        default="detector",
        description="part of the data to train on: the detector's, or the independent judge's",
    )
    start: str | None = Field(
        default=None,
        description="folder of an artefact to continue from; none: base weights and a new head",
    )
    lora_rank: int | None = Field(
        default=None,
        ge=1,
        description="rank of the LoRA matrices; none: train all weights but the embeddings",
    )
    lora_alpha: int = Field(
        default=16, ge=1, description="the LoRA update is scaled by alpha / rank"
    )
    lora_modules: tuple[str, ...] = Field(
        default=(), description="names of the linear layers that get LoRA matrices"
    )
    lora_skip_layers: int = Field(
        default=0,
        ge=0,
        description="first layers without LoRA matrices; they need no backward pass",
    )
    epochs: float = Field(default=2, gt=0, description="passes over the mix")
    batch_size: int = Field(default=32, ge=1, description="rows per batch and device")
    workers: int = Field(
        default=1, ge=1, description="data-parallel processes of one training, under ray.train"
    )
    learning_rate: float = Field(
        default=1e-4, gt=0, description="peak after the warm-up; it then falls linearly to 0"
    )
    warmup_steps: int = Field(
        default=200, ge=0, description="steps in which the learning rate rises"
    )
    weight_decay: float = Field(default=0.01, ge=0, description="weight decay of AdamW")
    dropout: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="probability in the layers of the base model; none: that of the base model",
    )
    teacher: str | None = Field(
        default=None,
        description="folder of a detector to learn from; none: from the labels alone",
    )
    teacher_weight: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="share of the teacher in the loss of a row that has a label too",
    )
    feature_weight: float = Field(
        default=1.0, ge=0, description="weight of the distance to the teacher's features"
    )
    unlabelled_rows: int = Field(
        default=0, ge=0, description="comments without a label, which only a teacher can read"
    )
    label_smoothing: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="probability mass taken from the label and spread over all six",
    )
    unsplit_rows: int = Field(
        default=20_000,
        ge=0,
        description="rows drawn from the larger, noisier version of dair-ai/emotion",
    )
    unsplit_classes: Literal["given", "natural"] = Field(
        default="given",
        description="class shares of these rows: as drawn, or those of dair-ai/emotion's train",
    )
    ordinary_repeats: int = Field(
        default=2, ge=0, description="times that an epoch shows each of the project's messages"
    )
    near_duplicate_jaccard: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="similarity of character 5-grams from which rows are duplicates; 1: equal only",
    )

    @model_validator(mode="after")
    def _check_teacher(self) -> Self:
        if self.unlabelled_rows and self.teacher is None:
            raise ValueError("unlabelled_rows need a teacher: set teacher, or unlabelled_rows to 0")
        return self


class SafetyRecipe(_Recipe):
    """Settings of the safety classifier: base weights and the mix of data."""

    pooling: Pooling = Field(
        default="mean", description="how a window's hidden states become one vector"
    )
    frozen_layers: int = Field(
        default=2, ge=0, description="first layers of the encoder that keep the base weights"
    )
    epochs: float = Field(default=2, gt=0, description="passes over the mix")
    batch_size: int = Field(default=16, ge=1, description="windows per step")
    learning_rate: float = Field(
        default=1e-4, gt=0, description="peak after the warm-up; it then falls linearly to 0"
    )
    warmup_steps: int = Field(
        default=50, ge=0, description="steps in which the learning rate rises"
    )
    weight_decay: float = Field(default=0.01, ge=0, description="weight decay of AdamW")
    ordinary_rows: int = Field(
        default=1500, ge=0, description="ordinary messages without a word of risk, drawn at random"
    )
    embedded_rows: int = Field(
        default=1000, ge=0, description="short messages shown within other texts, drawn at random"
    )
    validation_share: float = Field(
        default=0.15, gt=0, lt=1, description="rows on which the thresholds are chosen"
    )


class PersonaRecipe(_ScalableRecipe):
    """Settings of the persona adapters: LoRA on a causal language model.

    A stage shared by all personas comes first, then a stage for each persona.
    """

    pairs: PairSet = Field(
        default="literary",
        description="set of persona pairs to train on, see training/data/README.md",
    )
    start: str | None = Field(
        default=None,
        description="folder of an adapter from which the shared stage continues; none: a new one",
    )
    backend: Literal["auto", "peft", "unsloth"] = Field(
        default="auto", description="auto: Unsloth if it and a GPU are available, else PEFT"
    )
    four_bit: bool = Field(
        default=False,
        description="4-bit base weights while training (QLoRA); the unsloth backend only",
    )
    lora_rank: int = Field(default=8, ge=1, description="rank of the LoRA matrices")
    lora_alpha: int = Field(
        default=16, ge=1, description="the LoRA update is scaled by alpha / rank"
    )
    lora_dropout: float = Field(
        default=0, ge=0, lt=1, description="probability; Unsloth is fast only at 0"
    )
    lora_modules: tuple[str, ...] = Field(
        default=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        description="names of the linear layers that get LoRA matrices",
    )
    max_tokens: int = Field(
        default=256, ge=16, le=8192, description="tokens of prompt and answer together"
    )
    warmup_steps: int = Field(
        default=10,
        ge=0,
        description="steps in which the learning rate rises; it then follows a cosine",
    )
    shared_epochs: float = Field(
        default=1.5,
        ge=0,
        description="passes over the pairs of all personas in the shared stage; 0: no such stage",
    )
    shared_learning_rate: float = Field(default=4e-4, gt=0, description="peak of the shared stage")
    epochs: float = Field(default=1, gt=0, description="passes over the pairs of the persona")
    learning_rate: float = Field(default=2e-4, gt=0, description="peak of the stage of one persona")
    vocabulary: int | None = Field(
        default=24_576,
        ge=1,
        description="tokens in the training softmax on a CPU; none: all. Evaluation uses all",
    )
    save_steps: int = Field(
        default=20,
        ge=1,
        description="steps between checkpoints; an interrupted run resumes at the last one",
    )

    @model_validator(mode="after")
    def _check_start(self) -> Self:
        if self.start and not self.shared_epochs:
            raise ValueError("start is for the shared stage: shared_epochs must be above 0")
        return self


class PreferenceRecipe(_Recipe):
    """Settings of the preference stage: DPO of one update that the six adapters share."""

    pairs: PairSet = Field(
        default="simple", description="set of persona pairs that the adapters were trained on"
    )
    lora_rank: int = Field(default=8, ge=1, description="rank of the update")
    lora_alpha: int = Field(default=16, ge=1, description="the update is scaled by alpha / rank")
    max_tokens: int = Field(default=256, ge=16, le=8192, description="of prompt and answer")
    beta: float = Field(
        default=0.1, gt=0, description="how much a step away from the own adapters must pay"
    )
    chosen_weight: float = Field(
        default=0.05, ge=0, description="weight of the chosen answer's own loss"
    )
    per_message: int = Field(default=4, ge=1, description="preferences of a message at most")
    epochs: float = Field(default=1.5, gt=0, description="passes over the preferences")
    batch_size: int = Field(default=8, ge=1, description="preferences per step")
    learning_rate: float = Field(
        default=1e-4, gt=0, description="peak after the warm-up; it then follows a cosine"
    )
    warmup_steps: int = Field(default=8, ge=0, description="steps in which the learning rate rises")
    vocabulary: int = Field(default=16_384, ge=1, description="tokens in the softmax on a CPU")


class CriticRecipe(_Recipe):
    """Settings of the critic: a cross-encoder on written pairs, wrong answers and read labels."""

    pair_set: PairSet = Field(
        default="simple", description="written pairs to train on; best those of the adapters"
    )
    pairs: int | None = Field(
        default=None, ge=2, description="pairs to train on, drawn from all; none: all"
    )
    wrong_answers: int = Field(default=2, ge=1, description="wrong answers made for each pair")
    contrast_repeats: int = Field(
        default=2, ge=0, description="times that an epoch shows each written contrast"
    )
    label_repeats: int = Field(
        default=2, ge=0, description="times that an epoch shows each answer that readers marked"
    )
    epochs: float = Field(default=1, gt=0, description="passes over the rows")
    batch_size: int = Field(default=32, ge=1, description="rows per step and device")
    max_tokens: int = Field(
        default=96, ge=8, le=512, description="tokens of conversation and answer together"
    )
    learning_rate: float = Field(
        default=1e-4, gt=0, description="peak after the warm-up; it then falls linearly to 0"
    )
    warmup_steps: int = Field(
        default=50, ge=0, description="steps in which the learning rate rises"
    )
    weight_decay: float = Field(default=0.01, ge=0, description="weight decay of AdamW")


AnyRecipe = DetectorRecipe | PersonaRecipe | CriticRecipe | SafetyRecipe | PreferenceRecipe
