"""Layers of the int8 encoder: a quantized linear layer, and one transformer layer of them.

Linear layers are torch's oneDNN operators, which use int8 instructions (VNNI, AMX). Needs torch.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm

from models.detector.int8.packing import Packing

Tensors = Mapping[str, Tensor]


class Int8Linear:
    """Linear layer on uint8 inputs and int8 weights, with float32 or uint8 outputs.

    Inputs are in quantization steps with an offset, so truncation rounds them.
    """

    def __init__(self, tensors: Tensors, name: str) -> None:
        """Take the tensors of the layer `name`."""
        self._weight = torch.ops.onednn.qlinear_prepack(tensors[f"{name}.weight"], None)
        self._scale = tensors[f"{name}.scale"]
        self._bias = tensors[f"{name}.bias"]
        self._zero_point = torch.zeros(len(self._scale), dtype=torch.int64)
        self._copied_channels = tensors.get(f"{name}.copied_channels")
        self._copy_offsets = tensors.get(f"{name}.copy_offsets")

    def __call__(self, x: Tensor) -> Tensor:
        """Map inputs `(n, in)` to float32 outputs `(n, out)`."""
        return self._linear(self._quantize(x), 1.0, 0, torch.float32, "none")

    def gelu(self, x: Tensor, scale: float, zero_point: int) -> Tensor:
        """Map inputs `(n, in)` to GELU outputs `(n, out)`, quantized to uint8."""
        return self._linear(self._quantize(x), scale, zero_point, torch.uint8, "gelu")

    def _quantize(self, x: Tensor) -> Tensor:
        """Truncate to uint8. Copies of a channel have offsets, so that they round in turn."""
        if x.dtype == torch.uint8:
            return x
        if self._copied_channels is None or self._copy_offsets is None:
            return x.clamp(0, 255).to(torch.uint8)
        copies = x.index_select(1, self._copied_channels).add_(self._copy_offsets)
        return torch.cat([x, copies], 1).clamp_(0, 255).to(torch.uint8)

    def _linear(
        self, x: Tensor, scale: float, zero_point: int, dtype: torch.dtype, activation: str
    ) -> Tensor:
        output: Tensor = torch.ops.onednn.qlinear_pointwise(
            x,
            1.0,  # scale and zero point of the input are folded into weights and bias
            0,
            self._weight,
            self._scale,
            self._zero_point,
            self._bias,
            scale,
            zero_point,
            dtype,
            activation,
            [],
            "none",
        )
        return output


class Int8Layer:
    """Transformer layer whose input and output are in quantization steps."""

    def __init__(self, tensors: Tensors, name: str, heads: int, eps: float) -> None:
        """Take the tensors of the layer `name`; `eps` is that of the normalizations."""
        self._heads = heads
        self._eps = eps
        self._qkv = Int8Linear(tensors, f"{name}.qkv")
        self._out = Int8Linear(tensors, f"{name}.out")
        self._up = Int8Linear(tensors, f"{name}.up")
        self._down = Int8Linear(tensors, f"{name}.down")
        self._middle_norm = tensors[f"{name}.middle.weight"], tensors[f"{name}.middle.bias"]
        self._end_norm = tensors[f"{name}.end.weight"], tensors[f"{name}.end.bias"]
        self._input_scale = tensors[f"{name}.input_scale"]
        self._middle_scale = tensors[f"{name}.middle_scale"]
        self._float_up = tensors[f"{name}.float.up"], tensors[f"{name}.float.bias"]
        self._float_down = tensors[f"{name}.float.down"]
        scale, zero_point = tensors[f"{name}.hidden_quantization"]
        self._hidden_quantization = float(scale), int(zero_point)

    def __call__(self, x: Tensor, packing: Packing) -> Tensor:
        """Map packed rows `(n, hidden)` to rows of the same shape."""
        attended = self._out(packing.attention(self._qkv(x), self._heads))
        x = self._norm(attended.addcmul_(x, self._input_scale), self._middle_norm)
        hidden = self._up.gelu(x, *self._hidden_quantization)
        outliers = gelu(nn.functional.linear(x, *self._float_up))
        output = self._down(hidden).addmm_(outliers, self._float_down)
        return self._norm(output.addcmul_(x, self._middle_scale), self._end_norm)

    def _norm(self, x: Tensor, parameters: tuple[Tensor, Tensor]) -> Tensor:
        return layer_norm(x, x.shape[-1:], *parameters, self._eps)
