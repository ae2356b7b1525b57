"""`make load` in its short form, scripted: it runs, and its result holds what it must. How fast it is, is no test's business."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from load.harness.ports import free_port

ROOT = Path(__file__).parents[3]
LIMIT_S = 300
VLLM_BENCH = {  # as `vllm bench serve` names them
    "duration",
    "completed",
    "failed",
    "total_input_tokens",
    "total_output_tokens",
    "request_throughput",
    "request_goodput",
    "output_throughput",
    "total_token_throughput",
    *(f"{share}_{kind}_ms" for share in ("mean", "median", "std", "p50", "p90", "p95", "p99") for kind in ("ttft", "tpot", "itl", "e2el")),
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("load") / "load.json"
    command = [sys.executable, "-m", "load.sweep.sweep", "--engine", "scripted", "--short", "--port", str(free_port()), "--out", str(out)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": "tests"}, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def result(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out.read_bytes(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    return found


def test_every_level_of_every_arm_has_its_figures(result: dict[str, Any]) -> None:
    assert set(result["arms"]) == {"graph", "detector", "no-op"}
    for run in result["runs"]:
        assert run.keys() >= VLLM_BENCH if run["arm"] != "detector" else run.keys() >= {"request_throughput", "p99_e2el_ms"}
        assert run["failed"] == 0
        assert ("request_rate" in run) == (run["mode"] == "rate") == ("max_concurrency" not in run)
    assert {(knee["arm"], knee["mode"]) for knee in result["knees"]} == {(run["arm"], run["mode"]) for run in result["runs"]}


def test_every_answer_was_right(result: dict[str, Any]) -> None:
    for name, arm in result["arms"].items():
        score = arm["score"]
        assert score["emotion_as_alone"] == score["emotions"] > 0
        assert score["adapter_right"] == score["adapters"]
        assert score["closest"] == score["identical"] == score["probes"]
        assert (score["adapters"] > 0 and score["probes"] > 0) == (name != "detector")


def test_stages_personas_and_the_machine_are_told(result: dict[str, Any]) -> None:
    run = next(run for run in result["runs"] if run["arm"] == "graph")
    assert set(run["stages_ms"]) == {"queue", "detect", "first_token", "generate"}
    assert {name for run in result["runs"] for name in run["personas"]} == {"sadness", "joy", "love", "anger", "fear", "surprise"}
    sample = result["arms"]["graph"]["samples"][-1]
    assert sample["replicas"] == {"Ingress": 1, "Detector": 1, "Responder": 1, "AdapterController": 1}
    assert sample["memory_mib"]["ingress"] > 0
    assert sample["cores"].keys() == sample["memory_mib"].keys()


def test_the_settings_say_what_was_asked(result: dict[str, Any]) -> None:
    settings = result["settings"]
    assert settings.keys() >= {"seed", "machine", "input_lengths", "output_lengths", "objective", "plan", "config"}
    assert result["arms"]["graph"]["input_tokens"]["max"] > result["arms"]["graph"]["input_tokens"]["min"]


def test_the_page_needs_nothing_beside_it(out: Path) -> None:
    page = out.with_suffix(".html").read_text("utf-8")
    assert page.count("<svg") > 10
    assert not re.search(r"<script|<link|<img|https?://(?!www\.w3\.org)", page)
