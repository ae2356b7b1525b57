"""Ratios of the benchmark: of measurements in the same round, with goals reached or missed."""

from dataclasses import replace
from pathlib import Path

import pytest

from load.bench.goals import from_rounds
from load.bench.graph_goals import Round, compare_rounds
from load.bench.lora_goals import compare_arms
from load.bench.lora_servers import ARMS
from load.bench.memory_bandwidth import int8_head_bytes, read_bytes_per_s, weights_bytes

BASE = {"decode": [200.0, 100.0], "prefill": [800.0, 400.0], "single": [30.0, 20.0]}
OURS = {name: [value * 0.9 for value in values] for name, values in BASE.items()} | {
    "without adapter": [190.0, 95.0],
    "sampled": [150.0, 75.0],
}
SAMPLES = {"base": BASE, "ours": OURS}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Write weights of 1,000 bytes, of which 600 are an LM head of 300 numbers."""
    (tmp_path / "model.safetensors").write_bytes(b"x" * 1000)
    (tmp_path / "config.json").write_text('{"vocab_size": 30, "hidden_size": 10}')
    return tmp_path


def test_compares_adapters_in_the_same_repeat(weights: Path) -> None:
    arms = {
        arm.name: replace(arm, samples=SAMPLES[arm.name]) for arm in ARMS if arm.name in SAMPLES
    }
    found = {goal.name: goal for goal in compare_arms(arms, [45_000.0, 30_000.0], weights)}
    decode = found["six adapters, 32 requests, decode"]
    assert decode.low == pytest.approx(0.9)
    assert decode.high == pytest.approx(0.9)
    assert decode.reached is False
    assert found["no adapter, 32 requests, decode"].value == pytest.approx(0.95)
    bound = "one adapter, one request, decode / bound of memory bandwidth"
    assert found[bound].value == pytest.approx(0.6)
    assert found[f"{bound} with an int8 LM head"].value == pytest.approx(0.6 * 0.7)
    assert not any("untouched" in name for name in found)


def test_compares_the_graph_with_vllm_in_the_same_round() -> None:
    vllm = [Round(100, 1, 2, 0.100, 30), Round(50, 2, 4, 0.200, 15)]
    graph = [
        replace(
            one,
            tokens_per_s=one.tokens_per_s * 0.98,
            single_ttft_p50_s=one.single_ttft_p50_s + 0.033,
        )
        for one in vllm
    ]
    found = {goal.name: goal for goal in compare_rounds(graph, vllm, detect_s=0.030)}
    assert found["throughput at saturation, graph / vLLM"].value == pytest.approx(0.98)
    added = found["TTFT p50 of one request, graph - vLLM - detector"]
    assert added.value == pytest.approx(3)
    assert added.reached is True


@pytest.mark.parametrize(
    ("goal", "at_most", "reached"),
    [(2, False, True), (2, True, True), (3, False, False), (1, True, False)],
)
def test_median_decides_about_a_goal(goal: float, at_most: bool, reached: bool) -> None:
    assert from_rounds("name", [1, 2, 9], "x", goal, at_most=at_most).reached is reached


def test_int8_lm_head_is_read_at_half_the_size(weights: Path) -> None:
    assert weights_bytes(weights) == 1000
    assert int8_head_bytes(weights) == 700


def test_memory_bandwidth_is_that_of_the_fastest_read() -> None:
    took_s = (4, 0.5, 3, 2, 1)
    marks_s = iter([mark for number, each in enumerate(took_s) for mark in (number, number + each)])
    assert read_bytes_per_s(mib=1, clock_s=lambda: next(marks_s)) == 2**20 / 0.5
    assert list(marks_s) == []
