"""Entry points that vLLM calls in each of its processes, and the state of each operator.

    vllm.platform_plugins -> `platform` -> platform.py (LoRA operator, compilation with LoRA)
    vllm.general_plugins  -> `register` -> patches.py (compiled models, sampler, LM head)

`VLLM_PLUGINS` selects plugins by name; both entry points are called `fye_vllm_cpu`.
"""

import logging
from collections.abc import Callable

from serve.engine.vllm_cpu import patches
from serve.engine.vllm_cpu.compat import has_int8_dot_product, incompatibility, is_cpu_build

log = logging.getLogger(__name__)
PLATFORM = "serve.engine.vllm_cpu.platform.RowWiseLoraPlatform"
LORA_SWITCH = "FYE_CPU_LORA"
SAMPLING_SWITCH = "FYE_CPU_SAMPLING"
LM_HEAD_SWITCH = "FYE_CPU_HEAD"
ACTIVE = "active"
NOT_LOADED = "vLLM did not load the plugin fye_vllm_cpu; check VLLM_PLUGINS"
NOT_SELECTED = "vLLM did not select our platform; unset VLLM_TARGET_DEVICE, check VLLM_PLUGINS"
NO_INT8 = "the processor has no int8 dot product (AVX-512 VNNI, AVX-VNNI or AMX)"

_states: dict[str, str] = {}  # of the operators that `register` installs in this process


def platform() -> str | None:
    """Return the name of our platform class, or None to keep vLLM's own."""
    return PLATFORM if incompatibility(LORA_SWITCH) is None else None


def register() -> None:
    """Replace the operators for which vLLM has no extension point, and log those that stay."""
    if not is_cpu_build():
        return
    lora = incompatibility(LORA_SWITCH)
    if lora is None:
        patches.load_compiled_models()
    else:
        log.warning("The CPU operator lora is off: %s", lora)
    _install("sampling", incompatibility(SAMPLING_SWITCH), patches.replace_sampler)
    no_int8 = None if has_int8_dot_product() else NO_INT8
    _install("lm_head", incompatibility(LM_HEAD_SWITCH) or no_int8, patches.replace_lm_head)


def _install(name: str, reason: str | None, patch: Callable[[], None]) -> None:
    """Apply the patch unless there is a reason against it, and record the state."""
    _states[name] = reason or ACTIVE
    if reason is None:
        patch()
    else:
        log.warning("The CPU operator %s is off: %s", name, reason)


def operator_states() -> dict[str, str]:
    """Map each operator to "active", or to the reason why this process uses vLLM's own.

    Compiles the LoRA kernel if it is not in the cache.
    """
    from serve.engine.vllm_cpu.lora_kernel import kernel_or_reason

    lora = _lora_state()
    kernel = kernel_or_reason() if lora == ACTIVE else lora
    return {
        "lora": lora,
        "lora_kernel": kernel if isinstance(kernel, str) else ACTIVE,
        "sampling": _states.get("sampling", NOT_LOADED),
        "lm_head": _states.get("lm_head", NOT_LOADED),
    }


def _lora_state() -> str:
    from vllm.platforms import current_platform

    platform_class = type(current_platform)
    if f"{platform_class.__module__}.{platform_class.__qualname__}" == PLATFORM:
        return ACTIVE
    return incompatibility(LORA_SWITCH) or NOT_SELECTED
