"""Version guard and processor check for the CPU operators."""

import os

import torch

SUPPORTED_VERSIONS = ("0.32.0",)
# Without one of these, x86 adds int8 products up in 16 bits, and the sums overflow.
INT8_DOT_PRODUCT = ("avx512_vnni", "avx_vnni", "amx_int8")


def incompatibility(switch: str) -> str | None:
    """Return the reason to keep vLLM's own operator, or None if it may be replaced.

    Args:
        switch: environment variable that turns the operator off when it is 0.
    """
    if os.environ.get(switch) == "0":
        return f"{switch}=0"
    if not is_cpu_build():
        return "this vLLM is not built for CPUs"
    from vllm.version import __version__

    if __version__.partition("+")[0] not in SUPPORTED_VERSIONS:
        return f"vLLM {__version__} is not supported (expected {', '.join(SUPPORTED_VERSIONS)})"
    return None


def is_cpu_build() -> bool:
    """Tell whether vLLM runs on CPUs, without the platform object, which may not exist yet."""
    from vllm.platforms import cpu_platform_plugin

    return cpu_platform_plugin() is not None


def has_int8_dot_product() -> bool:
    """Tell whether the processor multiplies int8 values and adds up in 32 bits."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in INT8_DOT_PRODUCT)
