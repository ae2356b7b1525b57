"""Stages of a training, with their rows, tokens and steps."""

import math
from collections.abc import Sequence

from pydantic import Field

from models.emotions import LABELS, Emotion
from models.prompt import PromptEncoder
from models.schema import FrozenModel
from models.weights.cache import Materialized
from training.personas.loss import IGNORED
from training.personas.trainer import training_rows
from training.recipe import PersonaRecipe


class PlannedStage(FrozenModel):
    """One fine-tuning. Rows and tokens are those of one epoch, after truncation."""

    name: str
    rows: int
    tokens: int = Field(description="tokens of all rows; for a persona, of prompt and answer")
    answer_tokens: int = Field(description="tokens in the loss of a persona; 0 for a detector")
    longest: int = Field(description="tokens of the longest row")
    epochs: float
    steps: int


def build_stage(
    name: str, lengths: list[tuple[int, int]], epochs: float, step_rows: int
) -> PlannedStage:
    """Build a stage from the tokens and answer tokens of its rows."""
    tokens, answer_tokens = zip(*lengths, strict=True)
    return PlannedStage(
        name=name,
        rows=len(lengths),
        tokens=sum(tokens),
        answer_tokens=sum(answer_tokens),
        longest=max(tokens),
        epochs=epochs,
        steps=math.ceil(epochs * math.ceil(len(lengths) / step_rows)),
    )


def persona_stages(
    recipe: PersonaRecipe, base: Materialized, chosen: Sequence[Emotion]
) -> list[PlannedStage]:
    """Build the shared stage, if the recipe has one, and the stages of the chosen personas."""
    encoder = PromptEncoder(base.folder / "tokenizer.json")
    parts = [(str(persona), [persona], recipe.epochs) for persona in chosen]
    if recipe.shared_epochs:
        parts.insert(0, ("shared", list(LABELS), recipe.shared_epochs))
    return [
        build_stage(name, _persona_lengths(encoder, personas, recipe), epochs, recipe.step_rows)
        for name, personas, epochs in parts
    ]


def _persona_lengths(
    encoder: PromptEncoder, personas: Sequence[Emotion], recipe: PersonaRecipe
) -> list[tuple[int, int]]:
    """Return tokens and answer tokens of each row."""
    rows = training_rows(encoder, personas, recipe)
    return [(len(row), sum(label != IGNORED for label in row)) for row in rows["labels"]]
