"""Fit of a training to GPUs of 16, 24 and 80 GB: batch, gradient checkpointing, memory and time.

A recipe fixes the rows of an optimiser step. A card that cannot hold them at once takes them in
smaller batches, with the same result.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import Field

from models.schema import FrozenModel
from training.jobs.memory import Memory
from training.recipe import DetectorRecipe, PersonaRecipe

# CUDA's context, the libraries and fragments of the allocator, on top of what is computed.
CONTEXT_GIB = 1.0
MARGIN = 1.15
# Share of a card's peak that fine-tuning on short rows reaches; a rule of thumb, not measured.
UTILISATION = 0.3
RECOMPUTE = 4 / 3  # work with gradient checkpointing: one more forward pass

Recipe = DetectorRecipe | PersonaRecipe
Estimate = Callable[[Recipe], Memory]


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU.

    Attributes:
        name: product that stands for its size.
        gib: memory in GiB.
        tflops: dense bf16 peak of its data sheet, in 10^12 FLOP/s.
    """

    name: str
    gib: int
    tflops: float


CARDS = (Card("RTX A4000", 16, 77), Card("L4", 24, 121), Card("A100", 80, 312))


class Fit(FrozenModel):
    """Settings with which a training fits a card."""

    card: str
    card_gib: int
    batch_size: int
    accumulation_steps: int
    gradient_checkpointing: bool
    needed_gib: float = Field(description="with the CUDA context and a margin")
    hours: float = Field(description="at an assumed share of the card's peak")

    @property
    def fits(self) -> bool:
        """True if the card holds the training."""
        return self.needed_gib <= self.card_gib


def fit_cards(recipe: Recipe, estimate: Estimate, flops: float) -> tuple[Fit, ...]:
    """Find for each card the largest batch of the recipe's step that fits.

    `estimate` returns the memory of a recipe; `flops` are those of the whole training.
    """
    return tuple(_fit(card, recipe, estimate, flops) for card in CARDS)


def _fit(card: Card, recipe: Recipe, estimate: Estimate, flops: float) -> Fit:
    tried = (_describe(card, each, estimate(each), flops) for each in _choices(recipe))
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


def _describe(card: Card, recipe: Recipe, memory: Memory, flops: float) -> Fit:
    work = flops * (RECOMPUTE if recipe.gradient_checkpointing else 1)
    return Fit(
        card=card.name,
        card_gib=card.gib,
        batch_size=recipe.batch_size,
        accumulation_steps=recipe.accumulation_steps,
        gradient_checkpointing=recipe.gradient_checkpointing,
        needed_gib=memory.total * MARGIN + CONTEXT_GIB,
        hours=work / (card.tflops * 1e12 * UTILISATION) / 3600,
    )
