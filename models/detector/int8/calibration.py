"""How far what each product of an encoder reads reaches, on example texts: what the units of 8-bit integers are made from. Needs torch."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

PARTS = ("qkv", "out", "up", "down")  # the products of a layer
Batch = dict[str, Tensor]


def activation_absmax(model: PreTrainedModel, examples: Iterable[Batch]) -> dict[str, Tensor]:
    """Of each channel that a product reads: the largest absolute value that the examples bring, `(channels,)`."""
    reach: dict[str, Tensor] = {}

    def watch(name: str) -> Callable[..., None]:
        def see(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
            seen = inputs[0].flatten(0, -2).abs().amax(0)
            reach[name] = torch.maximum(reach[name], seen) if name in reach else seen

        return see

    with ExitStack() as hooks:
        for number, layer in enumerate(model.mpnet.encoder.layer):
            modules = (layer.attention.attn.q, layer.attention.attn.o, layer.intermediate.dense, layer.output.dense)
            for part, module in zip(PARTS, modules, strict=True):
                hooks.callback(module.register_forward_pre_hook(watch(f"{number}.{part}")).remove)
        for batch in examples:
            model(**batch)
    return reach
