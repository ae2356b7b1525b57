"""Choice of the floating-point type that a device computes in fastest."""

import torch

BF16_CAPABILITIES = ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16")


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


def training_device() -> str:
    """Return the device that training, measurement and evaluation use: the GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"
