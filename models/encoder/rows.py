"""Matrices stored in 8-bit integers with one scale per row, a quarter of float32's size.

The error of a value is at most half of its row's absolute maximum / 127. Needs torch.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

SCALE = ".scale"  # suffix of the scales `(rows, 1)` of a matrix
LARGEST = 127


def quantize_rows(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Quantize every matrix; everything else, as biases, stays in float32."""
    quantized: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        exact = tensor.detach().float().cpu()
        if exact.dim() != 2:
            quantized[name] = exact.contiguous()
            continue
        scale = exact.abs().amax(1, keepdim=True).clamp(min=1e-12) / LARGEST
        quantized[name] = (exact / scale).round().to(torch.int8).contiguous()
        quantized[name + SCALE] = scale.contiguous()
    return quantized


def restore_rows(quantized: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the tensors in floating point, without the scales."""
    restored: dict[str, Tensor] = {}
    for name, tensor in quantized.items():
        if name.endswith(SCALE):
            continue
        scale = quantized.get(name + SCALE)
        exact = tensor if scale is None else tensor.float() * scale
        restored[name] = exact.to(dtype)
    return restored
