"""What decides a training run: one frozen model for detectors, one for personas, read from `training/recipes/*.toml`.

recipe file -> overrides of the command line (`field=value`) -> validated recipe -> copied into the run's folder
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.errors import RecipeError

RECIPES = Path(__file__).parent / "recipes"


class _Recipe(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str = Field(description="name in models/weights/catalog.toml, or a folder in the transformers layout")
    seed: int = Field(default=0, description="decides the order of the data and the initial weights")
    batch_size: int = Field(default=8, ge=1, description="rows a step and device")
    max_tokens: int = Field(default=128, ge=8, le=8192, description="tokens; what is longer is cut")
    threads: int | None = Field(default=None, ge=1, description="CPU threads; none: torch's own choice")
    save_steps: int = Field(default=100, ge=1, description="steps from one checkpoint to the next; a killed run resumes at the last")
    worker_cpus: float = Field(default=1, gt=0, description="CPUs that Ray reserves for one worker, or for one persona's task")
    worker_gpus: float = Field(default=0, ge=0, description="GPUs that Ray reserves for one worker, or for one persona's task")

    @classmethod
    def read(cls, name: str | Path, overrides: Sequence[str] = ()) -> Self:
        """A recipe of `training/recipes` by name, or any file by path, with `field=value` laid over it. Raises RecipeError."""
        file = Path(name) if Path(name).suffix == ".toml" else RECIPES / f"{name}.toml"
        try:
            values = tomllib.loads(file.read_text("utf-8"))
            for override in overrides:
                field, separator, value = override.partition("=")
                if not separator:
                    raise RecipeError(f"--set takes field=value, not {override!r}")
                values[field] = _literal(value)
            return cls.model_validate(values)
        except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
            raise RecipeError(f"{file}: {error}") from error


def _literal(value: str) -> object:
    """A value of the command line, read as TOML would read it; what TOML cannot read is a string, and `none` is None."""
    if value == "none":
        return None
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


class DetectorRecipe(_Recipe):
    """A six-way classifier: base weights, LoRA or whole layers, and the mix of data."""

    part: Literal["detector", "judge"] = Field(
        default="detector", description="which of the disjoint parts of the data: the serving detector's, or the independent judge's"
    )
    start: str | None = Field(default=None, description="folder of a run's artefact to go on from; none: the base weights and a new head")
    lora_rank: int | None = Field(default=None, ge=1, description="rank of the LoRA matrices; none: all but the embeddings is trained")
    lora_alpha: int = Field(default=16, ge=1, description="the LoRA update is scaled by alpha / rank")
    lora_modules: tuple[str, ...] = Field(default=(), description="names of the linear layers that get LoRA matrices")
    lora_skip_layers: int = Field(default=0, ge=0, description="layers next to the embeddings that get none: no backward pass there")
    epochs: float = Field(default=2, gt=0, description="passes over the mix")
    batch_size: int = Field(default=32, ge=1, description="rows a step and device")
    workers: int = Field(default=1, ge=1, description="processes of one training with data parallelism, under ray.train")
    learning_rate: float = Field(default=1e-4, gt=0, description="peak, after the warm-up; it then falls to 0 in a line")
    warmup_steps: int = Field(default=200, ge=0, description="steps in which the learning rate rises")
    weight_decay: float = Field(default=0.01, ge=0, description="AdamW's")
    dropout: float | None = Field(default=None, ge=0, lt=1, description="probability, in the base model's layers; none: the base's own")
    label_smoothing: float = Field(default=0.05, ge=0, lt=1, description="probability mass taken from the label and spread over all six")
    unsplit_rows: int = Field(default=20_000, ge=0, description="rows drawn from the larger, noisier version of dair-ai/emotion")
    unsplit_classes: Literal["given", "natural"] = Field(
        default="given", description="shares of the classes in these rows: as given, or as in dair-ai/emotion's train split"
    )
    ordinary_repeats: int = Field(default=2, ge=0, description="how often an epoch shows each of the project's own messages")
    near_duplicate_jaccard: float = Field(
        default=0.8, gt=0, le=1, description="rows whose sets of character 5-grams are that alike count as one; 1: only equal texts"
    )


class PersonaRecipe(_Recipe):
    """Six LoRA adapters on a causal language model: a stage shared by all personas, then each persona's own."""

    backend: Literal["auto", "peft", "unsloth"] = Field(default="auto", description="auto: Unsloth where it and a GPU are there, else PEFT")
    four_bit: bool = Field(default=False, description="base weights in 4 bits while training (QLoRA); the unsloth backend only")
    lora_rank: int = Field(default=8, ge=1, description="rank of the LoRA matrices")
    lora_alpha: int = Field(default=16, ge=1, description="the LoRA update is scaled by alpha / rank")
    lora_dropout: float = Field(default=0, ge=0, lt=1, description="probability; Unsloth is fast only at 0")
    lora_modules: tuple[str, ...] = Field(
        default=("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        description="names of the linear layers that get LoRA matrices",
    )
    max_tokens: int = Field(default=256, ge=16, le=8192, description="tokens of prompt and answer together")
    warmup_steps: int = Field(default=10, ge=0, description="steps in which the learning rate rises; it then follows a cosine")
    shared_epochs: float = Field(default=1.5, ge=0, description="passes over all personas' pairs in the shared stage; 0: no such stage")
    shared_learning_rate: float = Field(default=4e-4, gt=0, description="peak of the shared stage")
    epochs: float = Field(default=1, gt=0, description="passes over the persona's own pairs")
    learning_rate: float = Field(default=2e-4, gt=0, description="peak of the persona's own stage")
    vocabulary: int | None = Field(
        default=24_576, ge=1, description="tokens over which the training softmax runs on a CPU; none: all. Evaluation always takes all"
    )
    save_steps: int = Field(default=20, ge=1, description="steps from one checkpoint to the next; a killed run resumes at the last")
