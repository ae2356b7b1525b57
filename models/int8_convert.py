"""Converts an MPNet detector to 8-bit integers: weights by row, what they read by channel, in units found on example texts. Needs torch.

model, examples -> largest value of each channel -> units of the bytes -> weights that take those units, rounded -> tensors of `int8`

A few channels and neurons of such encoders reach forty times as far as the others (Dettmers et al. 2022, https://arxiv.org/abs/2208.07339),
and one unit for all would leave the others nothing. So each channel has its own unit, which the weights make up for; the heaviest columns
of weights that come of this are repeated, each with its part of the weight; and the few neurons that reach far stay in floating point.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from models.classifier import Classifier
from models.int8 import SHIFT

REPEATS = 64  # columns more; keeps the width a multiple of what the processor takes at once
WIDE = 32  # neurons of a layer that stay in floating point
MARGIN = 1.15  # how much further than in the examples a value may reach before it is cut off
GELU_LEAST = 0.17  # GELU is never below its negative
MOST_TOKENS = 512
PARTS = ("qkv", "out", "up", "down")  # the products of a layer
Batch = dict[str, Tensor]


def converted(folder: Path, examples: Sequence[str]) -> dict[str, Tensor]:
    """The tensors of an artefact, its units found on example texts."""
    classifier = Classifier(folder, torch.float32)
    return convert(classifier.model, (dict(classifier.tokens([text])) for text in examples))  # one by one: padding is no example


@torch.inference_mode()
def convert(model: PreTrainedModel, examples: Iterable[Batch]) -> dict[str, Tensor]:
    """The tensors of an `Int8Mpnet` from a float32 `MPNetForSequenceClassification`."""
    reach = _reach(model, examples)
    body, head = model.mpnet, model.classifier
    positions = torch.arange(MOST_TOKENS)
    tensors = {
        "words": body.embeddings.word_embeddings.weight.bfloat16(),
        "positions": body.embeddings.position_embeddings.weight[body.embeddings.padding_idx + 1 :],
        "bias": body.encoder.relative_attention_bias.weight,
        "buckets": body.encoder.relative_position_bucket(positions[None] - positions[:, None]),
        **{f"head.{name}": tensor for name, tensor in head.state_dict().items()},
    }
    norms = [body.embeddings.LayerNorm, *(layer.output.LayerNorm for layer in body.encoder.layer)]
    for number, layer in enumerate(body.encoder.layer):
        name = str(number)
        tensors |= _norm("start" if not number else f"{number - 1}.end", norms[number], _unit(reach[f"{name}.qkv"]))
        tensors |= {f"{name}.{part}": tensor for part, tensor in _layer(layer, {p: reach[f"{name}.{p}"] for p in PARTS}).items()}
    tensors |= _norm(f"{len(norms) - 2}.end", norms[-1], None)
    return {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}


def _reach(model: PreTrainedModel, examples: Iterable[Batch]) -> dict[str, Tensor]:
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


def _unit(reach: Tensor) -> Tensor:
    """One step of a byte, by channel. A channel that hardly moves gets no finer one than half of them."""
    return torch.maximum(reach, reach.median()) * MARGIN / 127


def _layer(layer: Any, reach: dict[str, Tensor]) -> dict[str, Tensor]:
    attention = layer.attention.attn
    unit, mixed_unit, middle_unit = (_unit(reach[part]) for part in ("qkv", "out", "up"))
    value = attention.v.weight / mixed_unit[:, None]  # so that what attention mixes is in the unit of the bytes
    value_bias = attention.v.bias / mixed_unit + SHIFT  # weights of attention sum to one: a shift stays what it is
    weight = torch.cat([attention.q.weight, attention.k.weight, value])
    bias = torch.cat([attention.q.bias, attention.k.bias, value_bias])
    out_bias = attention.o.bias - SHIFT * unit  # takes the shift out of the residual
    return {
        "unit": unit,
        "middle.unit": middle_unit,
        **_linear("qkv", weight * unit, bias, 128, REPEATS),
        **_linear("out", attention.o.weight * mixed_unit, out_bias, 128),
        **_norm("middle", layer.attention.LayerNorm, middle_unit),
        **_feed_forward(layer.intermediate.dense, layer.output.dense, middle_unit, reach["down"]),
    }


def _feed_forward(up: nn.Linear, down: nn.Linear, unit: Tensor, reach: Tensor) -> dict[str, Tensor]:
    """The neurons that reach furthest in floating point, and the others in one unit."""
    wide = reach.topk(min(WIDE, len(reach) // 2)).indices
    others = torch.ones(len(reach), dtype=torch.bool).index_fill(0, wide, False)
    step = float((reach[others].max() * MARGIN + GELU_LEAST) / 255)
    zero = round(GELU_LEAST / step)
    scaled = up.weight * unit
    return {
        **_linear("up", scaled[others], up.bias[others], 128, REPEATS),
        **_linear("down", down.weight[:, others] * step, down.bias - SHIFT * unit, zero),
        "wide.up": scaled[wide],
        "wide.bias": up.bias[wide] - SHIFT * scaled[wide].sum(1),
        "wide.down": down.weight[:, wide].T,
        "hidden": torch.tensor([step, zero]),
    }


def _norm(name: str, norm: nn.LayerNorm, unit: Tensor | None) -> dict[str, Tensor]:
    """A normalisation whose result is in the unit of the bytes and shifted; as it is without a unit."""
    if unit is None:
        return {f"{name}.weight": norm.weight, f"{name}.bias": norm.bias}
    return {f"{name}.weight": norm.weight / unit, f"{name}.bias": norm.bias / unit + SHIFT}


def _linear(name: str, weight: Tensor, bias: Tensor, zero: int, repeats: int = 0) -> dict[str, Tensor]:
    """Weights in signed bytes by row. `zero` is the byte that stands for nothing; the bias makes up for it."""
    tensors = {}
    if repeats:
        columns, share = _repeated(weight.abs().amax(0), repeats)
        weight, tensors[f"{name}.columns"] = weight[:, columns] / share, columns
    scale = weight.abs().amax(1).clamp_min(1e-12) / 127
    rounded = (weight / scale[:, None]).round().clamp(-127, 127)
    bias = bias - zero * scale * rounded.sum(1)
    return tensors | {f"{name}.weight": rounded.to(torch.int8), f"{name}.scale": scale, f"{name}.bias": bias}


def _repeated(heaviness: Tensor, repeats: int) -> tuple[Tensor, Tensor]:
    """Which column stands where once the heaviest ones are repeated, and by what each is divided."""
    times = torch.ones_like(heaviness)
    for _ in range(repeats):
        times[(heaviness / times).argmax()] += 1
    columns = torch.arange(len(heaviness)).repeat_interleave(times.long())
    return columns, times[columns]
