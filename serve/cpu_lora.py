"""A plugin of vLLM (entry point `vllm.general_plugins`): LoRA on a CPU that costs next to nothing, and compilation with it.

vLLM loads it in each of its processes and calls `install`. It knows one version of vLLM; elsewhere it changes nothing and says so.
`FYE_CPU_LORA=0` turns it off.
"""

import logging
import os
from typing import Any

log = logging.getLogger(__name__)
KNOWN = ("0.32.0",)  # versions of vLLM whose sources this was read against


def install() -> None:
    """Light: the layers are hooked where and when a model with LoRA is made."""
    reason = unfit()
    if reason:
        log.warning("the CPU LoRA operators are vLLM's own: %s", reason)
        return
    from vllm.platforms.cpu import CpuPlatform

    def get_punica_wrapper(_: type) -> str:
        return "serve.cpu_lora_punica.RowWiseLora"

    CpuPlatform.get_punica_wrapper = classmethod(get_punica_wrapper)
    _keep_compilation(CpuPlatform)


def unfit() -> str | None:
    """Why this process keeps vLLM's own operators, if it does."""
    if os.environ.get("FYE_CPU_LORA") == "0":
        return "FYE_CPU_LORA=0"
    import vllm
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return "this is not a CPU"
    if vllm.__version__.partition("+")[0] not in KNOWN:
        return f"vLLM {vllm.__version__} is not one of {', '.join(KNOWN)}"
    return None


def _keep_compilation(platform: Any) -> None:
    """On a CPU vLLM compiles no model with LoRA, whose operators Dynamo cannot trace; ours is one opaque operator."""
    check_and_update_config = platform.check_and_update_config

    def check(_: type, vllm_config: Any) -> None:
        from vllm.config import CompilationMode

        wanted = vllm_config.compilation_config.mode == CompilationMode.VLLM_COMPILE and vllm_config.lora_config is not None
        check_and_update_config(vllm_config)
        if wanted and _has_compiler():
            vllm_config.compilation_config.mode = CompilationMode.DYNAMO_TRACE_ONCE  # as without LoRA

    platform.check_and_update_config = classmethod(check)


def _has_compiler() -> bool:
    """Inductor needs one for C++; without LoRA vLLM does not start on a machine that has none."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        return bool(get_cpp_compiler())
    except InvalidCxxCompiler:
        return False
