"""The operator `fye::add_lora_`: adds each row's own adapter to a linear layer's output, on a CPU.

It exists twice with one meaning: `cpu_lora.c`, built by the system's compiler when it is first needed, and `masked_product`, in
PyTorch, for machines without a compiler and for types other than bfloat16. It knows tensors only, nothing of vLLM.

Shapes: x (rows, inputs); y (rows, outputs of all slices); slots (rows,), -1 without an adapter; ranks (slots,), the rank in use.
A slice is one part of a packed layer, such as q of qkv: its A is (slots, 1, max_rank, inputs), its B (slots, 1, outputs, max_rank)
in the memory order of (slots, 1, max_rank, outputs), see `lay_out`.
"""

import ctypes
import logging
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import torch

log = logging.getLogger(__name__)
SOURCE = Path(__file__).with_name("lora_kernel.c")
FLAGS = ("-O3", "-march=native", "-fopenmp", "-fPIC", "-shared")
BLOCK = 4  # as in cpu_lora.c
Tensors = list[torch.Tensor]


def lay_out(b: torch.Tensor) -> torch.Tensor:
    """The same B, its columns one after the other in memory: what a row adds to y is then contiguous. Done once, loads write into it."""
    return b.transpose(-1, -2).contiguous().transpose(-1, -2)


def used_rank(a: Sequence[torch.Tensor], slot: int) -> int:
    """The rank of the adapter in a slot: what vLLM reserves beyond it, up to max_lora_rank, is zero."""
    used = torch.stack([one[slot, 0].ne(0).any(-1) for one in a]).any(0).nonzero()
    return int(used.max()) + 1 if len(used) else 0


def add_lora_(y: torch.Tensor, x: torch.Tensor, a: Tensors, b: Tensors, slots: torch.Tensor, ranks: torch.Tensor) -> None:
    """`slots` may be longer than x, as a buffer is."""
    kernel = compiled()
    if kernel is None or not _supported(y, x, *a, *b) or a[0].shape[2] % BLOCK:
        masked_product(y, x, a, b, slots[: x.shape[0]])
        return
    fields = [field for one, other in zip(a, b, strict=True) for field in (one.data_ptr(), other.data_ptr(), other.shape[2])]
    slices = (ctypes.c_int64 * len(fields))(*fields)  # as `slice` of cpu_lora.c: two pointers and a number
    rows, inputs = x.shape
    kernel(
        y.data_ptr(), y.stride(0), x.data_ptr(), x.stride(0), rows, inputs, slices, len(a),
        slots.data_ptr(), ranks.data_ptr(), len(ranks), a[0].shape[2],
    )  # fmt: skip


def masked_product(y: torch.Tensor, x: torch.Tensor, a: Tensors, b: Tensors, slots: torch.Tensor) -> None:
    """All adapters for all rows, the columns of the others zeroed in between: two matrix products instead of a gather.

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
        y[:, start:stop].addmm_(hidden.view(-1, count * rank), other.transpose(-1, -2).reshape(count * rank, -1))
        start = stop


def _supported(y: torch.Tensor, x: torch.Tensor, *weights: torch.Tensor) -> bool:
    return y.stride(1) == x.stride(1) == 1 and all(tensor.dtype is torch.bfloat16 for tensor in (y, x, *weights))


@cache
def compiled() -> "Callable[..., None] | None":
    """`add_lora` of cpu_lora.c, built for this very processor; None if that cannot be done here. A second of work, the first time."""
    try:
        library = _build(compiler())
    except (OSError, subprocess.CalledProcessError) as error:
        reason = error.stderr.decode() if isinstance(error, subprocess.CalledProcessError) else error
        log.warning("LoRA goes by PyTorch's own operators, which are slower: %s", reason)
        return None
    function: ctypes._NamedFuncPointer = library.add_lora
    pointer, size = ctypes.c_void_p, ctypes.c_int64
    function.argtypes = (pointer, size, pointer, size, size, size, pointer, size, pointer, pointer, size, size)
    function.restype = None
    return function


def _build(command: list[str]) -> ctypes.CDLL:
    """Raises OSError without a compiler, CalledProcessError if it refuses."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "cpu_lora.so"
        subprocess.run([*command, *FLAGS, "-o", str(library), str(SOURCE)], check=True, capture_output=True)
        return ctypes.CDLL(str(library))  # stays mapped when the file is gone


def compiler() -> list[str]:
    return shlex.split(os.environ.get("CC", "cc"))
