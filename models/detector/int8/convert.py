"""Converts an MPNet detector to 8-bit integers: weights by row, what they read by channel, in units found on example texts. Needs torch.

model, examples -> largest value of each channel -> units of the bytes -> weights that take those units, rounded -> tensors of `int8`

A few channels and neurons of such encoders reach forty times as far as the others (Dettmers et al. 2022, https://arxiv.org/abs/2208.07339),
and one unit for all would leave the others nothing. So each channel has its own unit, which the weights make up for; a channel whose
column of weights is heavy then is there k times, each with a k-th of the weight and rounded a k-th of a unit later, which makes its unit
k times finer (Hermite's identity); and the few neurons that reach far stay in floating point.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from models.detector.int8.calibration import PARTS, Batch, activation_absmax
from models.detector.transformer import TransformerClassifier

ZERO = 128  # the byte that stands for nothing where values have signs
REPEATS = 64  # channels more; keeps the width a multiple of what the processor takes at once
WIDE = 64  # neurons of a layer that stay in floating point
MARGIN = 1.4  # how much further than in the examples a value may reach before it is cut off
FAR_TIMES, FAR_MARGIN = 2, 1.7  # the same on top for a channel that is there more often than that: its unit is fine all the same
GELU_MARGIN = 0.9  # less, since one unit serves three thousand neurons, of which one in one text reaches furthest
GELU_LEAST = 0.17  # GELU is never below its negative
HEAD_SHARE = 0.8  # what each channel of a head is taken to reach of the head's furthest
MOST_TOKENS = 512


def converted(folder: Path, examples: Sequence[str]) -> dict[str, Tensor]:
    """The tensors of an artefact, its units found on example texts."""
    classifier = TransformerClassifier(folder, torch.float32)
    return convert(classifier.model, (dict(classifier.tokens([text])) for text in examples))  # one by one: padding is no example


@dataclass(frozen=True, slots=True)
class Source:
    """What a product reads: the unit of each channel, and how many times the channel is there, `(channels,)`."""

    unit: Tensor
    times: Tensor

    @property
    def shift(self) -> Tensor:
        """What makes a value in its unit an unsigned one that cutting off rounds."""
        return ZERO + 0.5 / self.times


@torch.inference_mode()
def convert(model: PreTrainedModel, examples: Iterable[Batch]) -> dict[str, Tensor]:
    """The tensors of an `Int8Mpnet` from a float32 `MPNetForSequenceClassification`."""
    reach = activation_absmax(model, examples)
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
        source, found = _layer(layer, {part: reach[f"{number}.{part}"] for part in PARTS})
        tensors |= _norm("start" if not number else f"{number - 1}.end", norms[number], source)
        tensors |= {f"{number}.{part}": tensor for part, tensor in found.items()}
    tensors |= {f"{len(norms) - 2}.end.{part}": tensor for part, tensor in norms[-1].state_dict().items()}
    return {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}


def _source(weight: Tensor, reach: Tensor, repeats: int = 0) -> Source:
    """Of a product whose weights are `(out, channels)`. A channel that hardly moves gets no finer unit than half of them."""
    unit = torch.maximum(reach, reach.median()) * MARGIN / (ZERO - 1)
    times = _times((weight * unit).abs().amax(0), repeats)
    return Source(torch.where(times > FAR_TIMES, unit * FAR_MARGIN, unit), times)


def _mixed(attention: Any, reach: Tensor) -> Source:
    """What attention has mixed is small but for a few tokens, and its product is the smallest: each channel is there twice or more."""
    furthest = reach.view(attention.num_attention_heads, -1).amax(1, keepdim=True).expand(-1, attention.attention_head_size)
    return _source(attention.o.weight, torch.maximum(reach, furthest.flatten() * HEAD_SHARE), len(reach))


def _times(heaviness: Tensor, repeats: int) -> Tensor:
    """How many times each column of weights is there: always the heaviest is repeated next."""
    times = torch.ones_like(heaviness)
    for _ in range(repeats):
        times[(heaviness / times).argmax()] += 1
    return times


def _layer(layer: Any, reach: dict[str, Tensor]) -> tuple[Source, dict[str, Tensor]]:
    """What the layer reads, and its tensors."""
    attention = layer.attention.attn
    query_key = torch.cat([attention.q.weight, attention.k.weight])
    source = _source(torch.cat([query_key, attention.v.weight]), reach["qkv"], REPEATS)
    mixed, middle = _mixed(attention, reach["out"]), _source(layer.intermediate.dense.weight, reach["up"], REPEATS)
    value = attention.v.weight / mixed.unit[:, None]  # so that what attention mixes is in the unit of the bytes,
    value_bias = attention.v.bias / mixed.unit + mixed.shift  # and shifted: its weights sum to one
    bias = torch.cat([attention.q.bias, attention.k.bias, value_bias])
    return source, {
        "unit": source.unit,
        "middle.unit": middle.unit,
        **_linear("qkv", torch.cat([query_key, value]), bias, source),
        **_linear("out", attention.o.weight, attention.o.bias - source.shift * source.unit, mixed),  # and the residual's shift
        **_norm("middle", layer.attention.LayerNorm, middle),
        **_feed_forward(layer.intermediate.dense, layer.output.dense, middle, reach["down"]),
    }


def _feed_forward(up: nn.Linear, down: nn.Linear, source: Source, reach: Tensor) -> dict[str, Tensor]:
    """The neurons that reach furthest in floating point, and the others in one unit."""
    wide = reach.topk(min(WIDE, len(reach) // 2)).indices
    others = torch.ones(len(reach), dtype=torch.bool).index_fill(0, wide, False)
    step = float((reach[others].max() * GELU_MARGIN + GELU_LEAST) / 255)
    zero = round(GELU_LEAST / step)
    in_units = up.weight[wide] * source.unit
    return {
        **_linear("up", up.weight[others], up.bias[others], source),
        **_rounded("down", down.weight[:, others] * step, down.bias - source.shift * source.unit, zero),
        "wide.up": in_units,
        "wide.bias": up.bias[wide] - in_units @ source.shift,
        "wide.down": down.weight[:, wide].T,
        "hidden": torch.tensor([step, zero]),
    }


def _norm(name: str, norm: nn.LayerNorm, source: Source) -> dict[str, Tensor]:
    """A normalisation that writes what a product reads."""
    return {f"{name}.weight": norm.weight / source.unit, f"{name}.bias": norm.bias / source.unit + source.shift}


def _linear(name: str, weight: Tensor, bias: Tensor, source: Source) -> dict[str, Tensor]:
    """A product of what a source gives."""
    weight, times = weight * source.unit / source.times, source.times.long()
    repeated = torch.arange(len(times)).repeat_interleave(times - 1)
    tensors = _rounded(name, torch.cat([weight, weight[:, repeated]], 1), bias, ZERO)
    if len(repeated):
        later = torch.tensor([part / whole for whole in times.tolist() for part in range(1, whole)])
        tensors |= {f"{name}.repeated": repeated, f"{name}.later": later}
    return tensors


def _rounded(name: str, weight: Tensor, bias: Tensor, zero: int) -> dict[str, Tensor]:
    """Weights in signed bytes by row. The bias makes up for `zero`, the byte that stands for nothing."""
    scale = weight.abs().amax(1).clamp_min(1e-12) / 127
    rounded = (weight / scale[:, None]).round().clamp(-127, 127)
    bias = bias - zero * scale * rounded.sum(1)
    return {f"{name}.weight": rounded.to(torch.int8), f"{name}.scale": scale, f"{name}.bias": bias}
