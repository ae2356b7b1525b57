"""LoRA operator for CPUs: adds each row's own adapter to the output of a linear layer.

There are two implementations with the same result: lora_kernel.c, compiled on first use, and
`masked_product` in PyTorch, for machines without a compiler and for types other than bfloat16 and
float32.

Shapes: x (rows, inputs); y (rows, outputs of all slices); slots (rows,), -1 without an adapter;
ranks (slots,), the rank in use. A slice is one part of a packed layer, such as q of qkv. Its A is
(slots, 1, max_rank, inputs) and its B (slots, 1, outputs, max_rank), with the memory order of
(slots, 1, max_rank, outputs), see `lay_out`.
"""

import ctypes
import logging
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import torch

from serve.engine.vllm_cpu.kernel_cache import CompilerError, load_library

log = logging.getLogger(__name__)
SOURCE = Path(__file__).with_name("lora_kernel.c")
BLOCK = 4  # as in lora_kernel.c
DEFINES: dict[torch.dtype, tuple[str, ...]] = {torch.bfloat16: (), torch.float32: ("FLOAT32",)}
Tensors = list[torch.Tensor]


def lay_out(b: torch.Tensor) -> torch.Tensor:
    """Store the columns of B one after the other, so that the kernel reads contiguous memory.

    The shape stays. vLLM writes later adapters into the same memory.
    """
    return b.transpose(-1, -2).contiguous().transpose(-1, -2)


def used_rank(a: Sequence[torch.Tensor], slot: int) -> int:
    """Return the rank of a slot's adapter; vLLM fills the rest up to max_lora_rank with zeros."""
    used = torch.stack([one[slot, 0].ne(0).any(-1) for one in a]).any(0).nonzero()
    return int(used.max()) + 1 if len(used) else 0


def add_lora_(  # noqa: PLR0913, PLR0917 (the parameters of vLLM's operator)
    y: torch.Tensor,
    x: torch.Tensor,
    a: Tensors,
    b: Tensors,
    slots: torch.Tensor,
    ranks: torch.Tensor,
) -> None:
    """Add each row's adapter to y in place. `slots` may be longer than x, as a buffer is."""
    kernel = kernel_or_reason(y.dtype) if y.dtype in DEFINES else ""
    if isinstance(kernel, str) or not _is_supported(y, x, *a, *b) or a[0].shape[2] % BLOCK:
        masked_product(y, x, a, b, slots[: x.shape[0]])
        return
    fields = [
        field
        for one, other in zip(a, b, strict=True)
        for field in (one.data_ptr(), other.data_ptr(), other.shape[2])
    ]
    slices = (ctypes.c_int64 * len(fields))(*fields)  # an array of `slice` in lora_kernel.c
    rows, inputs = x.shape
    kernel(
        y.data_ptr(), y.stride(0), x.data_ptr(), x.stride(0), rows, inputs, slices, len(a),
        slots.data_ptr(), ranks.data_ptr(), len(ranks), a[0].shape[2],
    )  # fmt: skip


def masked_product(
    y: torch.Tensor, x: torch.Tensor, a: Tensors, b: Tensors, slots: torch.Tensor
) -> None:
    """Add each row's adapter with two matrix products over all adapters.

    Between the products, the columns of the adapters that a row does not use are zeroed:
    y += mask(x @ [A_1 .. A_n]^T) @ [B_1 .. B_n]
    """
    mask = slots[:, None] == torch.arange(len(a[0]))
    if not mask.any():
        return
    start = 0
    for one, other in zip(a, b, strict=True):
        count, _, rank, inputs = one.shape
        hidden = (x @ one.view(count * rank, inputs).t()).view(-1, count, rank) * mask[:, :, None]
        stop = start + other.shape[2]
        stacked_b = other.transpose(-1, -2).reshape(count * rank, -1)
        y[:, start:stop].addmm_(hidden.view(-1, count * rank), stacked_b)
        start = stop


def _is_supported(y: torch.Tensor, x: torch.Tensor, *weights: torch.Tensor) -> bool:
    is_one_type = all(tensor.dtype is y.dtype for tensor in (x, *weights))
    return is_one_type and y.stride(1) == x.stride(1) == 1


@cache
def kernel_or_reason(dtype: torch.dtype = torch.bfloat16) -> "Callable[..., None] | str":
    """Return `add_lora` of lora_kernel.c, or the reason why there is none in this process.

    `dtype` is one of `DEFINES`.

    The first call on a machine compiles it, which takes about a second.
    """
    try:
        function = load_library(SOURCE, *DEFINES[dtype]).add_lora
    except CompilerError as error:
        log.warning("LoRA uses PyTorch's operators, which are slower: %s", error)
        return str(error)
    pointer = ctypes.c_void_p
    size = ctypes.c_int64
    function.argtypes = (
        pointer, size, pointer, size, size, size, pointer, size, pointer, pointer, size, size,
    )  # fmt: skip
    function.restype = None
    return function
