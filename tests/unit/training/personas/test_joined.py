"""Joined adapters: the sum of two updates, at a rank."""

import pytest
import torch
from torch import Tensor

from training.personas.joined import join_updates

NAME = "layer.q_proj"


def adapter(rank: int, seed: int) -> dict[str, Tensor]:
    """Return the matrices of one layer of 12 inputs and 10 outputs."""
    generator = torch.Generator().manual_seed(seed)
    return {
        f"{NAME}.lora_A.weight": torch.randn(rank, 12, generator=generator),
        f"{NAME}.lora_B.weight": torch.randn(10, rank, generator=generator),
    }


def update(tensors: dict[str, Tensor], scale: float) -> Tensor:
    """Return the update `(10, 12)` of the layer's weights."""
    return tensors[f"{NAME}.lora_B.weight"] @ tensors[f"{NAME}.lora_A.weight"] * scale


def test_sum_is_exact_when_the_rank_suffices() -> None:
    first, second = adapter(3, 0), adapter(2, 1)
    joined, lost = join_updates(first, second, (2.0, 0.5), 5)
    expected = update(first, 2.0) + update(second, 0.5)
    assert torch.allclose(update(joined, 2.0), expected, atol=1e-4)
    assert joined[f"{NAME}.lora_A.weight"].shape == (5, 12)
    assert lost < 1e-9


def test_reduction_is_the_best_of_its_rank() -> None:
    first, second = adapter(3, 0), adapter(2, 1)
    joined, lost = join_updates(first, second, (2.0, 0.5), 3)
    whole = update(first, 2.0) + update(second, 0.5)
    u, values, v = torch.linalg.svd(whole, full_matrices=False)
    best = (u[:, :3] * values[:3]) @ v[:3]
    assert torch.allclose(update(joined, 2.0), best, atol=1e-4)
    assert lost == pytest.approx(float((whole - best).square().sum() / whole.square().sum()), 1e-3)


def test_adapters_of_other_layers_are_an_error() -> None:
    other = {name.replace("q_proj", "v_proj"): tensor for name, tensor in adapter(2, 1).items()}
    with pytest.raises(ValueError, match="layers"):
        join_updates(adapter(3, 0), other, (1.0, 1.0), 3)
