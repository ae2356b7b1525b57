"""Fit of a recipe to cards of 16, 24 and 80 GB, and the estimate of memory behind it."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification, Gemma2Config

from training.detector.train import with_trainable_part
from training.jobs.cards import (
    CONTEXT_GIB,
    LAYER_S,
    MARGIN,
    START_S,
    UTILISATION,
    Fit,
    Recipe,
    Work,
    fit_cards,
)
from training.jobs.memory import GIB, Memory, detector_memory
from training.jobs.stage import PlannedStage
from training.recipe import DetectorRecipe

STAGE = PlannedStage(
    name="detector", rows=1, tokens=1, answer_tokens=0, longest=128, epochs=1, steps=1
)
# An hour of an A100 at the assumed share of its peak.
HOUR = Work(flops=312e12 * UTILISATION * 3600, steps=10, layers=26, processes=1)


def memory_by_batch(recipe: Recipe) -> Memory:
    """One GiB per row, or a tenth of it with gradient checkpointing."""
    activations = recipe.batch_size * (0.1 if recipe.gradient_checkpointing else 1)
    return Memory(weights=5, gradients=0, optimizer=0, activations=activations)


def fits(**fields: object) -> list[Fit]:
    recipe = DetectorRecipe.model_validate({"base": "any", **fields})
    return list(fit_cards(recipe, memory_by_batch, HOUR))


def settings(fit: Fit) -> tuple[int, int, bool]:
    return fit.batch_size, fit.accumulation_steps, fit.gradient_checkpointing


def test_smaller_cards_take_the_same_step_in_smaller_batches() -> None:
    assert [settings(fit) for fit in fits(batch_size=64)] == [
        (4, 16, False),
        (8, 8, False),
        (32, 2, False),
    ]


def test_step_keeps_its_rows_on_every_card() -> None:
    for fit in fits(batch_size=12, accumulation_steps=5):
        assert fit.batch_size * fit.accumulation_steps == 60


def test_checkpointing_comes_last_and_costs_time() -> None:
    plain = fits(batch_size=32)[-1]
    recipe = DetectorRecipe(base="any", batch_size=1)

    def huge(changed: Recipe) -> Memory:
        size = 1 if changed.gradient_checkpointing else 500
        return Memory(weights=size, gradients=0, optimizer=0, activations=0)

    found = fit_cards(recipe, huge, HOUR)
    assert [fit.gradient_checkpointing for fit in found] == [True] * 3
    assert plain.computing_s == pytest.approx(3600)
    assert found[-1].computing_s == pytest.approx(3600 * 4 / 3)


def test_small_batches_take_the_time_of_starting_their_kernels() -> None:
    recipe = DetectorRecipe(base="any", batch_size=2, accumulation_steps=3)
    work = Work(flops=1, steps=100, layers=26, processes=7)
    for fit in fit_cards(recipe, memory_by_batch, work):
        batches = 100 * fit.accumulation_steps
        assert fit.computing_s == pytest.approx(batches * 26 * LAYER_S)
        assert fit.starting_s == pytest.approx(7 * START_S)


def test_cards_offer_less_than_their_name_says() -> None:
    assert all(fit.card_gib < fit.card_gb for fit in fits(batch_size=1))


def test_says_what_no_setting_can_hold() -> None:
    recipe = DetectorRecipe(base="any", batch_size=4)
    memory = Memory(weights=100, gradients=0, optimizer=0, activations=0)
    found = fit_cards(recipe, lambda _: memory, HOUR)
    assert [fit.fits for fit in found] == [False] * 3
    assert found[0].needed_gib == pytest.approx(100 * MARGIN + CONTEXT_GIB)


def gemma_detector_memory(**fields: object) -> Memory:
    recipe = DetectorRecipe.read("detector-gemma-2-2b").model_copy(update=fields)
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(
            Gemma2Config(num_labels=6), dtype=torch.bfloat16
        )
        model = with_trainable_part(recipe, model)
    return detector_memory(recipe, model, STAGE)


def test_gemma_detector_needs_checkpointing_on_small_cards() -> None:
    """Without it, 64 rows of 128 tokens keep 34 GB in 26 layers; with it, their inputs."""
    plain = gemma_detector_memory(batch_size=64, gradient_checkpointing=False)
    assert 34e9 < plain.activations * GIB < 38e9
    saved = gemma_detector_memory(batch_size=64, gradient_checkpointing=True)
    inputs = 26 * 64 * 128 * 2304 * 2
    assert saved.activations * GIB == pytest.approx(inputs + plain.activations * GIB / 26)
    shipped = gemma_detector_memory()
    assert shipped.total * MARGIN + CONTEXT_GIB < 15.7
