"""One LoRA adapter that is the exact weighted sum of several.

W = W0 + sum of w_i * s_i * B_i A_i, with s_i = alpha_i / rank_i, is one product of concatenated
matrices: B = [w_1 s_1 B_1, w_2 s_2 B_2, ..] and A = [A_1; A_2; ..]. The sums of A and of B apart
would be another adapter, with products B_i A_j that were never trained.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import torch
from safetensors import TensorSpec, serialize_file
from safetensors.torch import load

from models.lora_layout import LORA_A, LORA_B
from models.manifest import ADAPTER_CONFIG, ADAPTER_WEIGHTS


@dataclass(frozen=True, slots=True)
class _Part:
    """Adapter of rank `rank`; `scale` multiplies B."""

    tensors: dict[str, torch.Tensor]
    config: dict[str, Any]
    scale: float

    @property
    def rank(self) -> int:
        return int(self.config["r"])

    @property
    def modules(self) -> set[str]:
        return {name.removesuffix(LORA_A) for name in self.tensors if name.endswith(LORA_A)}


def write_blend(parts: Sequence[tuple[Path, float]], folder: Path) -> int:
    """Write the weighted sum of PEFT folders as a PEFT folder, and return its rank.

    The scaled B is computed in float32 and rounded once, to the type of the adapters.

    Args:
        parts: folder and weight of each adapter. Their layers may differ.
        folder: is created.
    """
    read = [_read(*part) for part in parts]
    rank = sum(part.rank for part in read)
    modules = sorted(set().union(*(part.modules for part in read)))
    tensors = {}
    for module in modules:
        tensors[module + LORA_A] = _concatenated_a(module, read)
        tensors[module + LORA_B] = _concatenated_b(module, read)
    folder.mkdir(parents=True)
    _save(tensors, folder / ADAPTER_WEIGHTS)
    config = read[0].config | {
        "r": rank,
        "lora_alpha": rank,
        "use_rslora": False,
        "target_modules": sorted({module.rpartition(".")[2] for module in modules}),
    }
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config), "utf-8")
    return rank


def _read(folder: Path, weight: float) -> _Part:
    config: dict[str, Any] = json.loads((folder / ADAPTER_CONFIG).read_text("utf-8"))
    rank = config["r"]
    divisor = sqrt(rank) if config.get("use_rslora") else rank
    scale = weight * config["lora_alpha"] / divisor
    # Three times as fast as to let safetensors map the file: there are hundreds of small tensors.
    return _Part(load((folder / ADAPTER_WEIGHTS).read_bytes()), config, scale)


def _save(tensors: dict[str, torch.Tensor], file: Path) -> None:
    """Write contiguous tensors of the CPU, in a third of the time that `save_file` takes."""
    specs = {
        name: TensorSpec(
            dtype=str(tensor.dtype).removeprefix("torch."),
            shape=list(tensor.shape),
            data_ptr=tensor.data_ptr(),
            data_len=tensor.nbytes,
        )
        for name, tensor in tensors.items()
    }
    serialize_file(specs, file)


def _concatenated_a(module: str, parts: Sequence[_Part]) -> torch.Tensor:
    """Return A of (sum of ranks, inputs), with zeros for a part that lacks the module."""
    found = [part.tensors.get(module + LORA_A) for part in parts]
    like = next(one for one in found if one is not None)
    return torch.cat(
        [
            like.new_zeros(part.rank, like.shape[1]) if one is None else one
            for part, one in zip(parts, found, strict=True)
        ]
    )


def _concatenated_b(module: str, parts: Sequence[_Part]) -> torch.Tensor:
    """Return B of (outputs, sum of ranks), scaled."""
    found = [part.tensors.get(module + LORA_B) for part in parts]
    like = next(one for one in found if one is not None)
    return torch.cat(
        [
            like.new_zeros(like.shape[0], part.rank) if one is None else _scaled(one, part.scale)
            for part, one in zip(parts, found, strict=True)
        ],
        dim=1,
    )


def _scaled(b: torch.Tensor, scale: float) -> torch.Tensor:
    return (b.float() * scale).to(b.dtype)
