"""Pooling of hidden states: padding counts for nothing."""

import pytest
import torch

from models.manifest import Pooling
from models.safety.pooling import pool

HIDDEN = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [9.0, 9.0]]])


@pytest.mark.parametrize(
    ("pooling", "mask", "expected"),
    [
        ("mean", [1, 1, 0], [2.0, -3.0]),
        ("max", [1, 1, 0], [3.0, -2.0]),
        ("max", [1, 0, 0], [1.0, -4.0]),
        ("max", [1, 1, 1], [9.0, 9.0]),
    ],
)
def test_padding_is_left_out(pooling: Pooling, mask: list[int], expected: list[float]) -> None:
    for kind in (torch.tensor([mask]), torch.tensor([mask]).bool()):
        assert pool(HIDDEN, kind, pooling).tolist() == [expected]
