"""Fit of a training to GPUs of 16, 24 and 80 GB: batch, gradient checkpointing, memory and time.

A recipe fixes the rows of an optimiser step. A card that cannot hold them at once takes them in
smaller batches, with the same result.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import Field

from models.schema import FrozenModel
from training.jobs.memory import Memory
from training.recipe import DetectorRecipe, PersonaRecipe

# CUDA's context, the libraries and fragments of the allocator, on top of the computed memory.
CONTEXT_GIB = 1.0
MARGIN = 1.15
# Share of a card's peak that fine-tuning on short rows reaches; a rule of thumb, not measured.
UTILISATION = 0.3
RECOMPUTE = 4 / 3  # work with gradient checkpointing: one more forward pass
# The host starts some 300 kernels for a layer with LoRA, forward and backward, in 10 us each. Small
# batches take that long on every card. Not measured.
LAYER_S = 0.003
# Imports, loading of the base weights and compiling, of each process. Not measured.
START_S = 90.0

Recipe = DetectorRecipe | PersonaRecipe
Estimate = Callable[[Recipe], Memory]


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU.

    Attributes:
        name: product that stands for its size.
        gb: memory by its name.
        gib: memory that CUDA reports for it, in GiB; error correction and the driver keep the rest.
        tflops: dense bf16 peak of its data sheet, in 10^12 FLOP/s.
    """

    name: str
    gb: int
    gib: float
    tflops: float


CARDS = (
    Card("RTX A4000", 16, 15.7, 77),
    Card("L4", 24, 22.0, 121),
    Card("A100", 80, 79.1, 312),
)


class Work(NamedTuple):
    """Work of a whole training, whatever the card.

    Attributes:
        flops: of all stages, without gradient checkpointing.
        steps: optimiser steps of all stages.
        layers: layers of the model.
        processes: processes that load the base weights one after the other.
    """

    flops: float
    steps: int
    layers: int
    processes: int


class Fit(FrozenModel):
    """Settings with which a training fits a card, and what it then needs."""

    card: str
    card_gb: int
    card_gib: float
    batch_size: int
    accumulation_steps: int
    gradient_checkpointing: bool
    memory: Memory
    needed_gib: float = Field(description="with the CUDA context and a margin")
    computing_s: float = Field(description="at an assumed share of the card's peak")
    starting_s: float = Field(description="of all processes, as assumed")

    @property
    def fits(self) -> bool:
        """True if the card holds the training."""
        return self.needed_gib <= self.card_gib


def fit_cards(recipe: Recipe, estimate: Estimate, work: Work) -> tuple[Fit, ...]:
    """Find for each card the largest batch of the recipe's step that fits.

    `estimate` returns the memory of a recipe.
    """
    return tuple(_fit(card, recipe, estimate, work) for card in CARDS)


def _fit(card: Card, recipe: Recipe, estimate: Estimate, work: Work) -> Fit:
    tried = (_describe(card, each, estimate(each), work) for each in _choices(recipe))
    fit = next(tried)
    for other in tried:
        if fit.fits:
            break
        fit = other
    return fit


def _choices(recipe: Recipe) -> list[Recipe]:
    """Return the recipe as it is, then with ever smaller batches, then with checkpointing."""
    batches = [size for size in range(recipe.batch_size, 0, -1) if recipe.step_rows % size == 0]
    modes = dict.fromkeys((recipe.gradient_checkpointing, True))
    return [
        recipe.model_copy(
            update={
                "batch_size": size,
                "accumulation_steps": recipe.step_rows // size,
                "gradient_checkpointing": mode,
            }
        )
        for mode in modes
        for size in batches
    ]


def _describe(card: Card, recipe: Recipe, memory: Memory, work: Work) -> Fit:
    return Fit(
        card=card.name,
        card_gb=card.gb,
        card_gib=card.gib,
        batch_size=recipe.batch_size,
        accumulation_steps=recipe.accumulation_steps,
        gradient_checkpointing=recipe.gradient_checkpointing,
        memory=memory,
        needed_gib=memory.total * MARGIN + CONTEXT_GIB,
        computing_s=_computing_s(card, recipe, work),
        starting_s=work.processes * START_S,
    )


def _computing_s(card: Card, recipe: Recipe, work: Work) -> float:
    """Return the time of all steps: that of the products, or of starting them if it is longer."""
    products_s = work.flops / (card.tflops * 1e12 * UTILISATION)
    kernels_s = work.steps * recipe.accumulation_steps * work.layers * LAYER_S
    return max(products_s, kernels_s) * (RECOMPUTE if recipe.gradient_checkpointing else 1)
