"""Plans, and the hardware profiles that ship."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serve.__main__ import PROFILES, app
from serve.capacity.hardware import Hardware, read_hardware
from serve.capacity.plan import CPU, ENGINE, Demand, lines, plan
from serve.errors import ConfigError

DEMAND = Demand(rate=100, prompt=50, answer=50, slo_ttft_ms=1000)
HARDWARE = Hardware(
    name="test",
    source="measured",
    basis="arithmetic",
    gpus=1,
    replicas_per_node=2,
    node_cost_per_hour=3,
    step_ms=20,
    step_ms_per_answer=1,
    prefill_ms_per_token=0,
    slots=20,
    kv_tokens=100_000,
    context_tokens=8192,
    cpu_ms_per_answer=0,
    cpu_ms_per_chunk=0,
    start_s=60,
    detector_texts_per_s=50,
    detector_cpus=2,
)


def test_an_engine_bound_fleet() -> None:
    found = plan(DEMAND, HARDWARE)
    # 16 of 20 slots: 36 ms a token, 1.8 s an answer, so 8.89 answers/s each.
    assert (found.responders, found.bottleneck) == (12, ENGINE)
    assert found.running == 15  # 8.57 answers/s, and 8.33 of each are needed
    assert found.detectors == 4  # 60 % of 50 texts/s each
    assert found.nodes == 6
    # 10 replicas with 20 at once do 10 answers/s each.
    assert found.load_without_a_node == pytest.approx(1.0)


def test_an_event_loop_bound_fleet() -> None:
    busy = HARDWARE.model_copy(update={"cpu_ms_per_answer": 400})
    found = plan(DEMAND, busy)
    assert (found.responders, found.bottleneck) == (50, CPU)  # 80 % of 2.5 answers/s


def test_prompts_take_engine_time() -> None:
    slow = HARDWARE.model_copy(update={"prefill_ms_per_token": 1.0})
    assert plan(DEMAND, slow).responders > plan(DEMAND, HARDWARE).responders


def test_a_tight_objective_makes_smaller_batches() -> None:
    found = plan(replace(DEMAND, slo_ttft_ms=120), HARDWARE)
    assert found.running == 10  # 60 ms of detection, and two steps of 30 ms
    with pytest.raises(ConfigError, match="slo-ttft-ms"):
        plan(replace(DEMAND, slo_ttft_ms=50), HARDWARE)


def test_answers_at_once_follow_littles_law_where_the_cpu_is_the_bottleneck() -> None:
    h100 = read_hardware(PROFILES / "h100.toml")
    found = plan(Demand(rate=1000, prompt=60, answer=60, slo_ttft_ms=500), h100)
    assert found.bottleneck == CPU
    in_engine_s = (60 * h100.token_ms(found.running) + found.running * 60 * 0.0105) / 1000
    assert found.running == pytest.approx(1000 / found.responders * in_engine_s, abs=1)
    quiet = plan(Demand(rate=0.4, prompt=60, answer=60, slo_ttft_ms=500), h100)
    assert quiet.running == 1
    assert quiet.ttft_ms < found.ttft_ms


def test_a_lost_machine_is_judged_by_the_objective() -> None:
    cpu = read_hardware(PROFILES / "cpu-2-cores.toml")
    found = plan(Demand(rate=3, prompt=60, answer=60, slo_ttft_ms=300), cpu)
    assert found.load_without_a_node < 1
    assert "above the objective of 300 ms: keep a spare machine" in list(lines(found))[-1]
    relaxed = plan(Demand(rate=3, prompt=60, answer=60, slo_ttft_ms=1000), cpu)
    assert "overloaded" not in list(lines(relaxed))[-1]


def test_a_full_event_loop_does_not_hold() -> None:
    busy = HARDWARE.model_copy(update={"cpu_ms_per_answer": 400, "replicas_per_node": 1})
    found = plan(replace(DEMAND, rate=9.8), busy)  # five, and four at 98 % of 2.5 answers/s
    assert found.responders == 5
    assert found.load_without_a_node == pytest.approx(0.98)
    assert "above the objective" in list(lines(found))[-1]


def test_the_kv_cache_bounds_the_batch() -> None:
    small = HARDWARE.model_copy(update={"kv_tokens": 8000, "replicas_per_node": 1})
    long = replace(DEMAND, prompt=1500, answer=500, slo_ttft_ms=10_000)
    found = plan(long, small)
    assert found.most_per_responder == pytest.approx(4 * 1000 / (500 * 24))  # four at once
    assert found.running <= 4
    with pytest.raises(ConfigError, match="8,000 tokens"):
        plan(replace(long, prompt=8000), small)


def test_longer_contexts_make_slower_tokens() -> None:
    profile = HARDWARE.model_copy(update={"step_ms_per_context_token": 0.01})
    assert profile.token_ms(2, 300) == pytest.approx(20 + 2 * (1 + 1))
    long = replace(DEMAND, prompt=1000)
    assert plan(long, profile).responders > plan(long, HARDWARE).responders


def test_small_numbers_are_not_rounded_away() -> None:
    half = HARDWARE.model_copy(update={"gpus": 0.25})
    said = "\n".join(lines(plan(replace(DEMAND, rate=0.4), half)))
    assert "demand: 0.4 requests/s" in said
    assert "GPUs: 1\n" in said
    assert "GPUs: 3\n" in "\n".join(lines(plan(DEMAND, half)))  # 12 quarters


def test_every_line_of_a_derived_profile_says_so() -> None:
    derived = HARDWARE.model_copy(update={"source": "derived"})
    assert all(line.startswith("[derived]") for line in lines(plan(DEMAND, derived)))
    assert not any("derived" in line for line in lines(plan(DEMAND, HARDWARE)))


@pytest.mark.parametrize("file", sorted(PROFILES.glob("*.toml")), ids=lambda file: file.stem)
def test_a_shipped_profile_gives_a_plan_for_a_thousand_requests(file: Path) -> None:
    arguments = ["plan", "--rate", "1000", "--slo-ttft-ms", "500", "--hardware", str(file)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    assert "bottleneck" in done.output
    assert read_hardware(file).source in done.output


def test_a_file_that_is_no_profile_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("name = 1", "utf-8")
    done = CliRunner().invoke(app, ["plan", "--rate", "1", "--hardware", str(file)])
    assert done.exit_code == 1
    assert "is not a hardware profile" in done.output


def test_a_profile_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "hardware.toml"
    file.write_bytes(b"\xff\xfe")
    done = CliRunner().invoke(app, ["plan", "--rate", "1", "--hardware", str(file)])
    assert done.exit_code == 1
    assert "is not a hardware profile" in done.output


@pytest.mark.parametrize("option", ["--rate", "--prompt", "--answer", "--slo-ttft-ms"])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_number_that_cannot_be_planned_is_refused(option: str, value: str) -> None:
    done = CliRunner().invoke(app, ["plan", "--rate", "1", option, value])
    assert done.exit_code == 2
    assert option in done.output
