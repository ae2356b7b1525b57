"""The one rule for device, type and number of GPUs, and that nothing in training goes around it."""

import ast
from pathlib import Path

import pytest
import torch

import training
from models.detector import transformer
from models.detector.factory import open_for_training
from models.machine import precision
from models.machine.precision import (
    VISIBLE,
    fastest_dtype,
    training_device,
    training_dtype,
    use_one_gpu,
)

SOURCES = sorted(Path(training.__file__).parent.rglob("*.py"))
# What a file of training could use instead of the rule.
BYPASSES = {
    "torch.cuda.is_available",
    "torch.cuda.device_count",
    "torch.cuda.get_device_name",
    "torch.cuda.is_bf16_supported",
    "TransformerClassifier",
    "open_classifier",
    "fastest_dtype",
}


def set_gpu(monkeypatch: pytest.MonkeyPatch, count: int, bf16: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)


@pytest.mark.parametrize(
    ("capability", "dtype"), [("avx512_bf16", torch.bfloat16), ("avx512_vnni", torch.float32)]
)
def test_cpu_type_depends_on_its_instructions(
    monkeypatch: pytest.MonkeyPatch, capability: str, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True})
    assert fastest_dtype("cpu") is dtype


@pytest.mark.parametrize(
    ("bf16", "dtype"), [(True, torch.bfloat16), (False, torch.float32)], ids=["A100", "T4"]
)
def test_gpu_type_depends_on_its_generation(
    monkeypatch: pytest.MonkeyPatch, bf16: bool, dtype: torch.dtype
) -> None:
    set_gpu(monkeypatch, 1, bf16)
    assert (training_device(), training_dtype()) == ("cuda", dtype)


def test_device_without_gpu_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    set_gpu(monkeypatch, 0, False)
    assert training_device() == "cpu"


@pytest.mark.parametrize(
    ("visible", "count", "used"),
    [
        ({}, 4, "0"),
        ({VISIBLE: "3,1"}, 2, "3"),
        ({VISIBLE: "GPU-8f,GPU-9a"}, 2, "GPU-8f"),
        ({}, 1, None),
        ({}, 0, None),
        ({VISIBLE: "3,1", "LOCAL_RANK": "0"}, 2, None),
    ],
    ids=["all", "chosen", "by uuid", "one", "none", "launched"],
)
def test_process_takes_one_gpu_unless_launched_for_more(
    monkeypatch: pytest.MonkeyPatch, visible: dict[str, str], count: int, used: str | None
) -> None:
    set_gpu(monkeypatch, count, True)
    before = dict(visible)
    assert use_one_gpu(visible) == used
    assert visible == (before if used is None else {**before, VISIBLE: used})


def test_artefacts_are_opened_on_the_device_of_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[object] = []
    monkeypatch.setattr(precision, "training_device", lambda: "cuda")
    monkeypatch.setattr(precision, "training_dtype", lambda: torch.float32)
    monkeypatch.setattr(transformer, "TransformerClassifier", lambda *given: opened.extend(given))
    open_for_training(tmp_path)
    assert opened == [tmp_path, torch.float32, "cuda"]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.name))
def test_training_asks_the_rule_only(source: Path) -> None:
    """Calls that choose a device, and device names, stand only in models/machine/precision.py."""
    tree = ast.parse(source.read_text("utf-8"))
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    named = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)} & {"cuda"}
    assert not called & BYPASSES
    assert not named
