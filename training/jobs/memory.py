"""Estimate of the memory that a training needs, from the shapes of its model and its rows."""

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field

from models.schema import FrozenModel
from training.jobs.stage import PlannedStage
from training.personas.loss import CHUNK_TOKENS
from training.recipe import DetectorRecipe, PersonaRecipe

GIB = 2**30
# Rules of thumb for activations, in bytes per token, layer and hidden unit. Korthikanti et al. 2022
# (https://arxiv.org/abs/2205.05198) count 34 in 16 bits; autocast needs about twice that (measured:
# MPNet 41, Gemma 3 72, MiniLM with dropout 118).
LAYER_BYTES = 70
CHECKPOINT_BYTES = 2  # with gradient checkpointing, which keeps only the input of a layer
# Per token, layer, head and earlier token: scores, capped scores and their softmax in float32.
SCORE_BYTES = 10
LOGIT_BYTES = 12  # per logit: the logit, its softmax and its gradient, in float32
FOUR_BIT_BYTES = 0.5  # per parameter


class Memory(FrozenModel):
    """Memory on the training device, in GiB.

    Libraries, data and the GPU's allocator need more on top.
    """

    weights: float = Field(description="frozen and trained")
    gradients: float = Field(description="of the trained weights, in their type")
    optimizer: float = Field(description="the two moments of AdamW")
    activations: float = Field(description="of the longest batch, by rules of thumb")

    @property
    def frozen(self) -> float:
        """Weights that are not trained. The trained ones are as large as their gradients."""
        return self.weights - self.gradients

    @property
    def total(self) -> float:
        """Sum of all parts."""
        return self.weights + self.gradients + self.optimizer + self.activations


def detector_memory(recipe: DetectorRecipe, model: Any, stage: PlannedStage) -> Memory:
    """Estimate the memory of a detector. LoRA's skipped layers keep no activations."""
    skipped = recipe.lora_skip_layers if recipe.lora_rank else 0
    layers = layers_of(model) - skipped
    size = _layer_activations(recipe.batch_size, stage.longest, model)
    return memory_of(model, _activations(layers, size, recipe.gradient_checkpointing))


def persona_memory(
    recipe: PersonaRecipe, backend: str, model: Any, stages: Sequence[PlannedStage]
) -> Memory:
    """Estimate the memory of the largest stage: base, LoRA, layers and a chunk of logits."""
    checkpointing = recipe.gradient_checkpointing or backend == "unsloth"
    size = _layer_activations(recipe.batch_size, max(stage.longest for stage in stages), model)
    logits = CHUNK_TOKENS * _text(model).vocab_size * LOGIT_BYTES
    activations = _activations(layers_of(model), size, checkpointing) + logits
    return memory_of(model, activations, recipe.four_bit)


def _activations(layers: int, layer: tuple[int, int], checkpointing: bool) -> float:
    """Return bytes: of all layers, or of their inputs and the one that is computed again."""
    kept, whole = layer
    return layers * kept + whole if checkpointing else layers * whole


def _layer_activations(rows: int, longest: int, model: Any) -> tuple[int, int]:
    """Return the bytes of a layer's input, and of everything that its backward pass needs."""
    config = _text(model)
    units = rows * longest * config.hidden_size
    scores = rows * config.num_attention_heads * longest**2
    return units * CHECKPOINT_BYTES, units * LAYER_BYTES + scores * SCORE_BYTES


def _text(model: Any) -> Any:
    return model.config.get_text_config()


def layers_of(model: Any) -> int:
    """Return the number of layers of a model."""
    return int(_text(model).num_hidden_layers)


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
