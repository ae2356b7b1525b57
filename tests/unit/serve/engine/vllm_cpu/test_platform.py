"""Selection of our CPU platform by vLLM, and compilation of models with LoRA."""

import importlib.util
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch._inductor import cpp_builder
from torch._inductor.exc import InvalidCxxCompiler
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


def imported_again() -> ModuleType:
    """Execute the module as a new process would, apart from the one that other tests use."""
    spec = importlib.util.spec_from_file_location("platform_again", platform.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_functions_that_vllm_compiles_work_without_a_compiler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> str:
        raise InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", missing)
    backend = imported_again().RowWiseLoraPlatform.simple_compile_backend
    double = torch.compile(lambda x: x * 2 + 1, backend=backend)
    assert double(torch.arange(3)).tolist() == [1, 3, 5]


def test_functions_are_compiled_with_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", lambda: "g++")
    assert imported_again().RowWiseLoraPlatform.simple_compile_backend == "inductor"
