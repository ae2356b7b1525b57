"""Matrices in 8-bit rows."""

import torch

from models.encoder.rows import quantize_rows, restore_rows


def test_rows_in_8_bits_are_within_half_a_step() -> None:
    torch.manual_seed(0)
    tensors = {
        "matrix": torch.randn(7, 33) * torch.logspace(-3, 3, 7)[:, None],
        "bias": torch.randn(5),
    }
    quantized = quantize_rows(tensors)
    restored = restore_rows(quantized, torch.float32)
    assert quantized["matrix"].dtype == torch.int8
    assert restored.keys() == tensors.keys()
    step = tensors["matrix"].abs().amax(1, keepdim=True) / 127
    assert ((restored["matrix"] - tensors["matrix"]).abs() <= step * 0.501).all()
    assert torch.equal(restored["bias"], tensors["bias"])
