"""Pooling of a window's hidden states to one vector: the same in training and in serving."""

from torch import Tensor

from models.manifest import Pooling


def pool(hidden: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Return the mean or the largest values `(batch, width)` of hidden states of real tokens.

    The largest values let one sentence decide about a long window.

    Args:
        hidden: `(batch, tokens, width)`.
        mask: `(batch, tokens)`, false or 0 for padding.
        pooling: the way.
    """
    real = mask.bool().unsqueeze(-1)
    if pooling == "max":
        return hidden.masked_fill(~real, float("-inf")).amax(1)
    weights = real.to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)
