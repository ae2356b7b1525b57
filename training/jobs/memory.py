"""Estimate of the memory that a training needs, from the shapes of its model and its rows."""

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field

from models.schema import FrozenModel
from training.jobs.stage import PlannedStage
from training.personas.backends import Backend
from training.personas.loss import CHUNK_TOKENS
from training.recipe import PersonaRecipe

GIB = 2**30
# Rules of thumb for activations, in bytes per token, layer and hidden unit. Korthikanti et al. 2022
# (https://arxiv.org/abs/2205.05198) count 34 in 16 bits; autocast needs about twice that (measured:
# MPNet 41, Gemma 3 72, MiniLM with dropout 118).
LAYER_BYTES = 70
CHECKPOINT_BYTES = 2  # with gradient checkpointing, which keeps only the input of a layer
LOGIT_BYTES = 12  # per logit: the logit, its softmax and its gradient, in float32
FOUR_BIT_BYTES = 0.5  # per parameter


class Memory(FrozenModel):
    """Memory on the training device, in GiB.

    Libraries, data and the GPU's allocator need more on top.
    """

    weights: float
    gradients: float
    optimizer: float = Field(description="the two moments of AdamW")
    activations: float = Field(description="of the longest batch, by rules of thumb")

    @property
    def total(self) -> float:
        """Sum of all parts."""
        return self.weights + self.gradients + self.optimizer + self.activations


def layer_units(model: Any, skipped: int = 0) -> int:
    """Return the hidden units of all layers together, without the first `skipped` layers."""
    config = model.config.get_text_config()
    return int((config.num_hidden_layers - skipped) * config.hidden_size)


def detector_activations(model: Any, batch_tokens: int, skipped: int) -> float:
    """Return the bytes of a detector's activations. The first `skipped` layers keep none."""
    return float(batch_tokens * layer_units(model, skipped) * LAYER_BYTES)


def persona_activations(
    recipe: PersonaRecipe, backend: Backend, model: Any, stages: Sequence[PlannedStage]
) -> float:
    """Return the bytes of a persona's activations: layers, and a chunk of logits."""
    unit_bytes = CHECKPOINT_BYTES if backend.name == "unsloth" else LAYER_BYTES
    batch_tokens = recipe.batch_size * max(stage.longest for stage in stages)
    logits = CHUNK_TOKENS * model.config.get_text_config().vocab_size
    return float(batch_tokens * layer_units(model) * unit_bytes + logits * LOGIT_BYTES)


def memory_of(model: Any, activations: float, four_bit: bool = False) -> Memory:
    """Return the memory to train `model`, with `activations` in bytes."""
    parameters = list(model.parameters())
    embeddings = model.get_input_embeddings().weight
    trained = sum(each.numel() * each.element_size() for each in parameters if each.requires_grad)

    def size(parameter: torch.nn.Parameter) -> float:
        frozen_matrix = parameter.ndim == 2 and not parameter.requires_grad
        quantized = four_bit and frozen_matrix and parameter is not embeddings
        return float(
            parameter.numel() * (FOUR_BIT_BYTES if quantized else parameter.element_size())
        )

    return Memory(
        weights=sum(map(size, parameters)) / GIB,
        gradients=trained / GIB,
        optimizer=2 * trained / GIB,
        activations=activations / GIB,
    )
