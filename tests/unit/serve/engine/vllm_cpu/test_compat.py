"""When vLLM's own CPU operators stay."""

import sys
from types import SimpleNamespace

import pytest

from serve.engine.vllm_cpu.compat import unfit


@pytest.mark.parametrize(
    ("version", "cpu", "setting", "reason"),
    [
        ("0.32.0", True, "1", None),
        ("0.32.0+cpu", True, "1", None),
        ("0.33.0", True, "1", "vLLM 0.33.0 is not one of 0.32.0"),
        ("0.32.0", False, "1", "this is not a CPU"),
        ("0.32.0", True, "0", "FYE_CPU_LORA=0"),
    ],
)
def test_it_stays_out_of_the_way(version: str, cpu: bool, setting: str, reason: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    platforms = SimpleNamespace(current_platform=SimpleNamespace(is_cpu=lambda: cpu))
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(__version__=version, platforms=platforms))
    monkeypatch.setitem(sys.modules, "vllm.platforms", platforms)
    monkeypatch.setenv("FYE_CPU_LORA", setting)
    assert unfit("FYE_CPU_LORA") == reason
