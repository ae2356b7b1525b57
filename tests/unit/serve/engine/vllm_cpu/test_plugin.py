"""Entry points of the CPU operators, and the states that they report."""

from collections.abc import Callable
from importlib.metadata import entry_points

import pytest

from serve.engine.vllm_cpu import compat, lora_kernel, patches, plugin
from serve.engine.vllm_cpu.plugin import ACTIVE, NO_INT8, NOT_LOADED, PLATFORM
from serve.engine.vllm_cpu.worker import OperatorReport

Applied = list[str]


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> Applied:
    """Patches that were applied; a supported vLLM on a processor with int8 products."""
    names: Applied = []

    def record(name: str) -> Callable[[], None]:
        return lambda: names.append(name)

    for name in ("load_compiled_models", "replace_sampler", "replace_lm_head"):
        monkeypatch.setattr(patches, name, record(name))
    monkeypatch.setattr(plugin, "_states", {})
    monkeypatch.setattr(plugin, "is_cpu_build", lambda: True)
    monkeypatch.setattr(plugin, "incompatibility", lambda switch: None)
    monkeypatch.setattr(plugin, "has_int8_dot_product", lambda: True)
    monkeypatch.setattr(plugin, "_lora_state", lambda: ACTIVE)
    monkeypatch.setattr(lora_kernel, "kernel_or_reason", lambda: print)
    return names


@pytest.mark.parametrize(
    ("group", "function"),
    [
        ("vllm.platform_plugins", plugin.platform),
        ("vllm.general_plugins", plugin.register),
    ],
)
def test_vllm_finds_the_entry_points(group: str, function: Callable[[], object]) -> None:
    (point,) = (point for point in entry_points(group=group) if point.name == "fye_vllm_cpu")
    assert point.load() is function


def test_every_operator_is_active_on_a_supported_machine(applied: Applied) -> None:
    plugin.register()
    assert plugin.platform() == PLATFORM
    assert applied == ["load_compiled_models", "replace_sampler", "replace_lm_head"]
    assert OperatorReport().cpu_operator_states() == dict.fromkeys(
        ("lora", "lora_kernel", "sampling", "lm_head"), ACTIVE
    )


def test_another_version_keeps_every_operator_and_says_why(
    applied: Applied, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(plugin, "incompatibility", lambda switch: "vLLM 0.33.0")
    monkeypatch.setattr(plugin, "_lora_state", lambda: "vLLM 0.33.0")
    plugin.register()
    assert plugin.platform() is None
    assert applied == []
    assert set(plugin.operator_states().values()) == {"vLLM 0.33.0"}
    assert len(caplog.records) == 3


def test_a_switch_turns_off_its_own_operator_only(
    applied: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reason(switch: str) -> str | None:
        return "off" if switch == plugin.SAMPLING_SWITCH else None

    monkeypatch.setattr(plugin, "incompatibility", reason)
    plugin.register()
    assert applied == ["load_compiled_models", "replace_lm_head"]
    assert plugin.operator_states()["sampling"] == "off"


@pytest.mark.parametrize(
    ("variable", "operator", "other"),
    [("FYE_CPU_SAMPLING", "sampling", "lm_head"), ("FYE_CPU_HEAD", "lm_head", "sampling")],
)
def test_the_documented_variables_turn_operators_off(
    applied: Applied, monkeypatch: pytest.MonkeyPatch, variable: str, operator: str, other: str
) -> None:
    monkeypatch.setattr(plugin, "incompatibility", compat.incompatibility)
    monkeypatch.setattr(compat, "is_cpu_build", lambda: True)
    monkeypatch.setenv(variable, "0")
    plugin.register()
    states = plugin.operator_states()
    assert (states[operator], states[other]) == (f"{variable}=0", ACTIVE)
    assert len(applied) == 2


def test_the_lm_head_needs_int8_products(applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "has_int8_dot_product", lambda: False)
    plugin.register()
    assert "replace_lm_head" not in applied
    assert plugin.operator_states()["lm_head"] == NO_INT8


def test_register_does_nothing_on_a_gpu(
    applied: Applied, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(plugin, "is_cpu_build", lambda: False)
    plugin.register()
    assert applied == []
    assert caplog.records == []


def test_states_tell_that_vllm_did_not_load_the_plugin(applied: Applied) -> None:
    states = plugin.operator_states()
    assert states["sampling"] == states["lm_head"] == NOT_LOADED


def test_the_reason_for_a_missing_kernel_is_reported(
    applied: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lora_kernel, "kernel_or_reason", lambda: "no C compiler")
    states = plugin.operator_states()
    assert (states["lora"], states["lora_kernel"]) == (ACTIVE, "no C compiler")


def test_the_lora_state_comes_from_the_platform_that_vllm_selected() -> None:
    from vllm.platforms import current_platform

    ours = type(current_platform).__name__ == PLATFORM.rpartition(".")[2]
    assert ours is (plugin.platform() is not None), "vLLM selects what the entry point names"
    assert (plugin._lora_state() == ACTIVE) is ours
