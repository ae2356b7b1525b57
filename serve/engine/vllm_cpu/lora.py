"""A plugin of vLLM (entry point `vllm.general_plugins`): LoRA on a CPU that costs next to nothing, and compilation with it.

vLLM loads it in each of its processes and calls `install`. Where it does not fit (`cpu_fit.py`) it changes nothing and says so.
`FYE_CPU_LORA=0` turns it off.
"""

import logging
from typing import Any

from serve.engine.vllm_cpu.compat import unfit

log = logging.getLogger(__name__)
SWITCH = "FYE_CPU_LORA"


def install() -> None:
    """Light: the layers are hooked where and when a model with LoRA is made."""
    reason = unfit(SWITCH)
    if reason:
        log.warning("the CPU LoRA operators are vLLM's own: %s", reason)
        return
    from vllm.platforms.cpu import CpuPlatform

    def get_punica_wrapper(_: type) -> str:
        return "serve.engine.vllm_cpu.punica.RowWiseLora"

    CpuPlatform.get_punica_wrapper = classmethod(get_punica_wrapper)
    _keep_compilation(CpuPlatform)
    _load_what_was_compiled()


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


def _load_what_was_compiled() -> None:
    """vLLM 0.32 asks of code that it loads for a method that only its own backend has, so that on a CPU it compiles anew at each start."""
    import torch

    load = torch.compiler.load_compiled_function

    def load_and_complete(*arguments: Any, **more: Any) -> Any:
        loaded: Any = load(*arguments, **more)
        code = loaded._artifacts.compiled_fn
        if not hasattr(code, "finalize_loading"):
            code.finalize_loading = lambda _vllm_config: None  # a function of Inductor's is complete as it is
        return loaded

    torch.compiler.load_compiled_function = load_and_complete


def _has_compiler() -> bool:
    """Inductor needs one for C++; without LoRA vLLM does not start on a machine that has none."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        return bool(get_cpp_compiler())
    except InvalidCxxCompiler:
        return False
