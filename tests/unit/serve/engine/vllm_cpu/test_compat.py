"""Version guard and processor check of the CPU operators."""

import sys
from types import SimpleNamespace

import pytest
import torch

from serve.engine.vllm_cpu.compat import has_int8_dot_product, incompatibility

CPU = "vllm.platforms.cpu.CpuPlatform"


@pytest.mark.parametrize(
    ("version", "platform", "setting", "reason"),
    [
        ("0.32.0", CPU, "1", None),
        ("0.32.0+cpu", CPU, "1", None),
        ("0.33.0", CPU, "1", "vLLM 0.33.0 is not supported"),
        ("0.32.0", None, "1", "not built for CPUs"),
        ("0.32.0", CPU, "0", "FYE_CPU_LORA=0"),
    ],
)
def test_incompatibility_names_the_reason(
    version: str,
    platform: str | None,
    setting: str,
    reason: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    platforms = SimpleNamespace(cpu_platform_plugin=lambda: platform)
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "vllm.platforms", platforms)
    monkeypatch.setitem(sys.modules, "vllm.version", SimpleNamespace(__version__=version))
    monkeypatch.setenv("FYE_CPU_LORA", setting)
    found = incompatibility("FYE_CPU_LORA")
    assert found is None if reason is None else reason in str(found)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True, "avx512_vnni": False, "avx_vnni": False, "amx_int8": False}, False),
        ({"architecture": "arm64", "dot": True}, False),
        ({"avx512_vnni": True}, True),
        ({"avx_vnni": True}, True),
        ({"amx_int8": True}, True),
    ],
)
def test_int8_needs_an_instruction_that_sums_in_32_bits(
    capabilities: dict[str, object], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert has_int8_dot_product() is expected
