"""Conversion of an MPNet detector to int8, calibrated on sample texts.

model, texts -> absolute maximum of each channel -> scales -> rescaled and rounded weights

Weights are rounded per row, activations per channel; see `activations`. The scales are folded
into the weights and the normalizations before them. The few neurons of the feed-forward layers
with the largest values stay in floating point. Needs torch.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from models.detector.int8.activations import (
    EXTRA_COPIES,
    ZERO_POINT,
    InputQuantization,
    quantize_attention_output,
    quantize_input,
)
from models.detector.int8.calibration import LINEAR_LAYERS, Batch, activation_absmax
from models.detector.transformer import TransformerClassifier

FLOAT_NEURONS = 64  # per feed-forward layer
# Below 1, because one scale serves all neurons and only one of them in one text has the maximum.
GELU_MARGIN = 0.9
GELU_MIN = 0.17  # GELU is never below -0.17
MAX_TOKENS = 512
Tensors = dict[str, Tensor]


def convert_artifact(folder: Path, texts: Sequence[str]) -> Tensors:
    """Convert a detector artifact, calibrated on `texts`."""
    classifier = TransformerClassifier(folder, torch.float32)
    batches = (dict(classifier.tokens([text])) for text in texts)  # one by one: no padding
    return convert_model(classifier.model, batches)


@torch.inference_mode()
def convert_model(model: PreTrainedModel, batches: Iterable[Batch]) -> Tensors:
    """Convert a float32 `MPNetForSequenceClassification` to the tensors of an `Int8Mpnet`."""
    absmax = activation_absmax(model, batches)
    tensors = _embeddings(model.mpnet)
    tensors |= _prefixed("head", model.classifier.state_dict())
    norm = model.mpnet.embeddings.LayerNorm
    norm_name = "start"
    for number, layer in enumerate(model.mpnet.encoder.layer):
        layer_absmax = {name: absmax[f"{number}.{name}"] for name in LINEAR_LAYERS}
        layer_input, converted = _layer(layer, layer_absmax)
        tensors |= _prefixed(norm_name, _norm(norm, layer_input))
        tensors |= _prefixed(str(number), converted)
        norm = layer.output.LayerNorm
        norm_name = f"{number}.end"
    tensors |= _prefixed(norm_name, norm.state_dict())
    return {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}


def _prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _embeddings(body: Any) -> Tensors:
    embeddings = body.embeddings
    positions = torch.arange(MAX_TOKENS)
    distances = positions[None] - positions[:, None]
    return {
        "word_embeddings": embeddings.word_embeddings.weight.bfloat16(),
        "position_embeddings": embeddings.position_embeddings.weight[embeddings.padding_idx + 1 :],
        "relative_attention_bias": body.encoder.relative_attention_bias.weight,
        "relative_position_buckets": body.encoder.relative_position_bucket(distances),
    }


def _layer(layer: Any, absmax: dict[str, Tensor]) -> tuple[InputQuantization, Tensors]:
    """Return the quantization of the layer's input, and the tensors of the layer."""
    attention = layer.attention.attn
    qkv_weight = torch.cat([attention.q.weight, attention.k.weight, attention.v.weight])
    layer_input = quantize_input(qkv_weight, absmax["qkv"], EXTRA_COPIES)
    middle = quantize_input(layer.intermediate.dense.weight, absmax["up"], EXTRA_COPIES)
    return layer_input, {
        "input_scale": layer_input.scale,
        "middle_scale": middle.scale,
        **_attention(attention, absmax["out"], layer_input),
        **_prefixed("middle", _norm(layer.attention.LayerNorm, middle)),
        **_feed_forward(layer.intermediate.dense, layer.output.dense, middle, absmax["down"]),
    }


def _attention(attention: Any, absmax: Tensor, layer_input: InputQuantization) -> Tensors:
    heads = attention.num_attention_heads
    output = quantize_attention_output(attention.o.weight, absmax, heads)
    # Attention weights sum to one, so values with a scale and an offset keep them in the output.
    value_weight = attention.v.weight / output.scale[:, None]
    value_bias = attention.v.bias / output.scale + output.offset
    qkv_weight = torch.cat([attention.q.weight, attention.k.weight, value_weight])
    qkv_bias = torch.cat([attention.q.bias, attention.k.bias, value_bias])
    residual_offset = layer_input.offset * layer_input.scale
    return {
        **_prefixed("qkv", _linear(qkv_weight, qkv_bias, layer_input)),
        **_prefixed("out", _linear(attention.o.weight, attention.o.bias - residual_offset, output)),
    }


def _feed_forward(
    up: nn.Linear, down: nn.Linear, middle: InputQuantization, absmax: Tensor
) -> Tensors:
    """Keep the neurons with the largest values in floating point; the others share one scale."""
    outliers = absmax.topk(min(FLOAT_NEURONS, len(absmax) // 2)).indices
    others = torch.ones(len(absmax), dtype=torch.bool).index_fill(0, outliers, False)
    scale = float((absmax[others].max() * GELU_MARGIN + GELU_MIN) / 255)
    zero_point = round(GELU_MIN / scale)
    outlier_weight = up.weight[outliers] * middle.scale
    down_bias = down.bias - middle.offset * middle.scale  # without the offset of the residual
    return {
        **_prefixed("up", _linear(up.weight[others], up.bias[others], middle)),
        **_prefixed("down", _quantize_rows(down.weight[:, others] * scale, down_bias, zero_point)),
        "float.up": outlier_weight,
        "float.bias": up.bias[outliers] - outlier_weight @ middle.offset,
        "float.down": down.weight[:, outliers].T,
        "hidden_quantization": torch.tensor([scale, zero_point]),
    }


def _norm(norm: nn.LayerNorm, output: InputQuantization) -> Tensors:
    """Fold the scale and offset of the next linear layer into a normalization."""
    return {
        "weight": norm.weight / output.scale,
        "bias": norm.bias / output.scale + output.offset,
    }


def _linear(weight: Tensor, bias: Tensor, quantization: InputQuantization) -> Tensors:
    """Fold the input scale into the weights, and copy columns as the quantization says."""
    copies = quantization.copies.long()
    weight = weight * quantization.scale / quantization.copies
    copied = torch.arange(len(copies)).repeat_interleave(copies - 1)
    tensors = _quantize_rows(torch.cat([weight, weight[:, copied]], 1), bias, ZERO_POINT)
    if len(copied):
        offsets = [index / count for count in copies.tolist() for index in range(1, count)]
        tensors |= {"copied_channels": copied, "copy_offsets": torch.tensor(offsets)}
    return tensors


def _quantize_rows(weight: Tensor, bias: Tensor, zero_point: int) -> Tensors:
    """Round weights to int8 per row. The bias compensates for the zero point of the input."""
    scale = weight.abs().amax(1).clamp_min(1e-12) / 127
    rounded = (weight / scale[:, None]).round().clamp(-127, 127)
    bias = bias - zero_point * scale * rounded.sum(1)
    return {"weight": rounded.to(torch.int8), "scale": scale, "bias": bias}
