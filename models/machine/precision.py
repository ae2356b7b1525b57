"""Device and floating-point type of training, measurement and evaluation.

Every command of `training` asks here, so all of them run on the same device in the same type.
"""

import os
from collections.abc import MutableMapping

import torch

BF16_CAPABILITIES = ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16")
VISIBLE = "CUDA_VISIBLE_DEVICES"
LAUNCHED = "LOCAL_RANK"  # accelerate, torchrun and Ray Train set it in each of their processes


def fastest_dtype(device: str) -> torch.dtype:
    """Return bf16 where `device` has instructions for its products, else float32.

    Without them a CPU computes in bf16 several times slower than in float32. GPUs before Ampere
    have none either.
    """
    if device == "cpu":
        capabilities = torch.cpu.get_capabilities()
        fast = any(capabilities.get(name, False) for name in BF16_CAPABILITIES)
    else:
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if fast else torch.float32


def has_gpu() -> bool:
    """Return True if torch can use a GPU of this machine."""
    return bool(torch.cuda.is_available())


def training_device() -> str:
    """Return the device that training, measurement and evaluation use: the GPU if there is one."""
    return "cuda" if has_gpu() else "cpu"


def training_dtype() -> torch.dtype:
    """Return the type of the weights on `training_device`."""
    return fastest_dtype(training_device())


def device_name() -> str:
    """Return the name of the GPU that is used, or "cpu"."""
    return str(torch.cuda.get_device_name()) if has_gpu() else "cpu"


def use_one_gpu(environment: MutableMapping[str, str] = os.environ) -> str | None:
    """Hide all GPUs but the first, unless a launcher has started this process.

    transformers would otherwise split every batch over all GPUs (`DataParallel`), which TRL
    rejects. Call it before CUDA is initialised. Returns the id of the GPU if others were hidden.
    """
    if LAUNCHED in environment or torch.cuda.device_count() < 2:
        return None
    first = environment.get(VISIBLE, "").split(",")[0].strip() or "0"
    environment[VISIBLE] = first
    return first
