"""One LoRA adapter from two: the sum of their updates, reduced to a rank.

(A, B, scale) + (A, B, scale) -> B A of both -> truncated singular value decomposition -> (A, B)

The reduction is the best one of its rank (Eckart and Young 1936). It costs little where one update
is nearly in the space of the other.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

LORA_A = ".lora_A.weight"
LORA_B = ".lora_B.weight"
Tensors = Mapping[str, Tensor]


def join_updates(
    first: Tensors, second: Tensors, scales: tuple[float, float], rank: int
) -> tuple[dict[str, Tensor], float]:
    """Return the tensors of an adapter with the scale of the first, and the share that was lost.

    Args:
        first: tensors of an adapter, `NAME.lora_A.weight` `(r, in)` and `NAME.lora_B.weight`
            `(out, r)`.
        second: tensors of an adapter of the same layers, of any rank.
        scales: alpha / rank of both.
        rank: that of the result.

    Raises:
        ValueError: the adapters have different layers.
    """
    if first.keys() != second.keys():
        raise ValueError("the adapters have different layers")
    joined: dict[str, Tensor] = {}
    lost, whole = 0.0, 0.0
    for name in (name.removesuffix(LORA_A) for name in first if name.endswith(LORA_A)):
        ratio = scales[1] / scales[0]
        a = torch.cat([first[name + LORA_A].float(), second[name + LORA_A].float()])
        b = torch.cat([first[name + LORA_B].float(), second[name + LORA_B].float() * ratio], 1)
        # The decomposition of B A from those of its thin factors.
        q_b, r_b = torch.linalg.qr(b)
        q_a, r_a = torch.linalg.qr(a.T)
        u, values, v = torch.linalg.svd(r_b @ r_a.T)
        root = values[:rank].sqrt()
        joined[name + LORA_A] = root[:, None] * (q_a @ v[:rank].T).T
        joined[name + LORA_B] = (q_b @ u[:, :rank]) * root
        lost += float(values[rank:].square().sum())
        whole += float(values.square().sum())
    return joined, lost / max(whole, 1e-12)
