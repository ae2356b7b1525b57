"""The benchmark's arithmetic: a ratio is of neighbours, and what is missed is said to be missed."""

from dataclasses import replace
from pathlib import Path

import pytest

from load.bench import memory_bandwidth as bandwidth
from load.bench.graph_vs_vllm import Round, compared
from load.bench.lora import goals_of
from load.bench.lora_servers import ARMS

SAMPLES = {"base": {"decode": [200.0, 100.0], "prefill": [800.0, 400.0], "single": [30.0, 20.0]}}
SAMPLES["ours"] = {name: [value * 0.9 for value in values] for name, values in SAMPLES["base"].items()} | {
    "bare": [190.0, 95.0],
    "sampled": [150.0, 75.0],
}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """1,000 bytes, of which 600 are a head of 300 numbers."""
    (tmp_path / "model.safetensors").write_bytes(b"x" * 1000)
    (tmp_path / "config.json").write_text('{"vocab_size": 30, "hidden_size": 10}')
    return tmp_path


def test_adapters_are_measured_against_the_neighbour_in_time(weights: Path) -> None:
    arms = {arm.name: replace(arm, samples=SAMPLES[arm.name]) for arm in ARMS if arm.name in SAMPLES}
    found = {goal.name: goal for goal in goals_of(arms, [45_000.0, 30_000.0], weights)}
    decode = found["six adapters, 32 requests, decode"]
    assert (decode.low, decode.high, decode.reached) == (pytest.approx(0.9), pytest.approx(0.9), False)
    assert found["no adapter, 32 requests, decode"].value == pytest.approx(0.95)
    assert found["an adapter, one request, decode, of the bound of memory"].value == pytest.approx(0.6)
    assert found["the same, of the bound with the head in bytes"].value == pytest.approx(0.6 * 0.7)
    assert not any("untouched" in name for name in found)


def test_the_graph_is_measured_beside_bare_of_the_same_round() -> None:
    bare = [Round(100, 1, 2, 0.100, 30), Round(50, 2, 4, 0.200, 15)]
    graph = [replace(one, tokens_per_s=one.tokens_per_s * 0.98, single_ttft_p50_s=one.single_ttft_p50_s + 0.033) for one in bare]
    found = {goal.name: goal for goal in compared(graph, bare, detect_s=0.030)}
    assert found["throughput at saturation, of bare"].value == pytest.approx(0.98)
    beyond = found["TTFT p50 at one request, beyond bare and detector"]
    assert (beyond.value, beyond.reached) == (pytest.approx(3), True)


def test_a_head_in_bytes_is_read_half(weights: Path) -> None:
    assert (bandwidth.weights_bytes(weights), bandwidth.bytes_read(weights)) == (1000, 700)


def test_memory_is_read_at_more_than_nothing() -> None:
    assert 1e8 < bandwidth.read_bytes_per_s() < 1e13
