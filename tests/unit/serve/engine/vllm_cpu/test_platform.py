"""Selection of our CPU platform by vLLM, and compilation of models with LoRA."""

from types import SimpleNamespace
from typing import Any

import pytest
from vllm.config import CompilationMode
from vllm.platforms import resolve_current_platform_cls_qualname
from vllm.platforms.cpu import CpuPlatform
from vllm.utils.import_utils import resolve_obj_by_qualname

from serve.engine.vllm_cpu import platform
from serve.engine.vllm_cpu.platform import RowWiseLoraPlatform
from serve.engine.vllm_cpu.plugin import PLATFORM

STOCK = f"{CpuPlatform.__module__}.{CpuPlatform.__qualname__}"


@pytest.mark.parametrize(("setting", "selected"), [("1", PLATFORM), ("0", STOCK)])
def test_vllm_selects_our_platform_unless_it_is_turned_off(
    setting: str, selected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FYE_CPU_LORA", setting)
    assert resolve_current_platform_cls_qualname() == selected


def test_names_resolve_to_our_classes() -> None:
    assert resolve_obj_by_qualname(PLATFORM) is RowWiseLoraPlatform
    wrapper = resolve_obj_by_qualname(RowWiseLoraPlatform.get_punica_wrapper())
    assert wrapper.__name__ == "RowWiseLora"


def test_our_platform_is_a_cpu_platform() -> None:
    assert issubclass(RowWiseLoraPlatform, CpuPlatform)
    assert RowWiseLoraPlatform().is_cpu()


@pytest.mark.parametrize(
    ("mode", "lora", "compiler", "expected"),
    [
        (CompilationMode.VLLM_COMPILE, True, True, CompilationMode.DYNAMO_TRACE_ONCE),
        (CompilationMode.VLLM_COMPILE, True, False, CompilationMode.NONE),
        (CompilationMode.NONE, True, True, CompilationMode.NONE),
        (CompilationMode.VLLM_COMPILE, False, True, CompilationMode.DYNAMO_TRACE_ONCE),
    ],
)
def test_models_with_lora_are_compiled_if_requested_and_possible(
    mode: CompilationMode,
    lora: bool,
    compiler: bool,
    expected: CompilationMode,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stock(_: type, config: Any) -> None:
        """Set the modes that vLLM's CPU platform sets."""
        if config.compilation_config.mode == CompilationMode.VLLM_COMPILE:
            config.compilation_config.mode = CompilationMode.DYNAMO_TRACE_ONCE
        if config.lora_config is not None:
            config.compilation_config.mode = CompilationMode.NONE

    monkeypatch.setattr(CpuPlatform, "check_and_update_config", classmethod(stock))
    monkeypatch.setattr(platform, "has_cpp_compiler", lambda: compiler)
    config = SimpleNamespace(
        compilation_config=SimpleNamespace(mode=mode), lora_config=object() if lora else None
    )
    RowWiseLoraPlatform.check_and_update_config(config)
    assert config.compilation_config.mode == expected
