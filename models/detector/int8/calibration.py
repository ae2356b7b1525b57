"""Calibration: absolute maximum per input channel of each linear layer, over sample texts.

Needs torch.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

LINEAR_LAYERS = ("qkv", "out", "up", "down")  # of one encoder layer
Batch = dict[str, Tensor]


def activation_absmax(model: PreTrainedModel, batches: Iterable[Batch]) -> dict[str, Tensor]:
    """Return the absolute maxima `(channels,)` of the inputs of each linear layer.

    Keys are `<layer>.<linear layer>`, as in `0.qkv`.
    """
    absmax: dict[str, Tensor] = {}

    def record(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
            found = inputs[0].flatten(0, -2).abs().amax(0)
            absmax[name] = torch.maximum(absmax[name], found) if name in absmax else found

        return hook

    with ExitStack() as hooks:
        for number, layer in enumerate(model.mpnet.encoder.layer):
            for name, module in zip(LINEAR_LAYERS, _linear_layers(layer), strict=True):
                handle = module.register_forward_pre_hook(record(f"{number}.{name}"))
                hooks.callback(handle.remove)
        for batch in batches:
            model(**batch)
    return absmax


def _linear_layers(layer: Any) -> tuple[nn.Linear, ...]:
    """Return the layers named by LINEAR_LAYERS. The input of q is also that of k and v."""
    attention = layer.attention.attn
    return attention.q, attention.o, layer.intermediate.dense, layer.output.dense
