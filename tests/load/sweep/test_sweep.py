"""Content of the load test's result, in its short form with the scripted engine."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from load.harness.metrics import PHASES
from load.harness.ports import free_port
from load.harness.process_stats import REPLICA_KINDS
from models.emotions import LABELS

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 300
VLLM_BENCH = {  # metric names of `vllm bench serve`
    "duration",
    "completed",
    "failed",
    "total_input_tokens",
    "total_output_tokens",
    "request_throughput",
    "request_goodput",
    "output_throughput",
    "total_token_throughput",
    *(
        f"{statistic}_{kind}_ms"
        for statistic in ("mean", "median", "std", "p50", "p90", "p95", "p99")
        for kind in ("ttft", "tpot", "itl", "e2el")
    ),
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("load") / "load.json"
    options = ["--engine", "scripted", "--short", "--port", str(free_port()), "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "load.sweep.sweep", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "tests"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def result(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        out.read_bytes(), parse_constant=lambda name: pytest.fail(f"{name} is not valid JSON")
    )
    return found


def test_reports_all_metrics_of_every_level(result: dict[str, Any]) -> None:
    assert set(result["arms"]) == {"graph", "detector", "no-op"}
    for run in result["runs"]:
        is_detector = run["arm"] == "detector"
        assert run.keys() >= ({"request_throughput", "p99_e2el_ms"} if is_detector else VLLM_BENCH)
        assert run["failed"] == 0
        level_name = "request_rate" if run["mode"] == "rate" else "max_concurrency"
        assert run.keys() & {"request_rate", "max_concurrency"} == {level_name}
    curves = {(run["arm"], run["mode"]) for run in result["runs"]}
    assert {(knee["arm"], knee["mode"]) for knee in result["knees"]} == curves


def test_every_reply_is_correct(result: dict[str, Any]) -> None:
    for name, arm in result["arms"].items():
        score = arm["score"]
        assert score["correct_emotions"] == score["emotions"] > 0
        assert score["correct_adapters"] == score["adapters"]
        assert score["closest"] == score["identical"] == score["probes"]
        assert (score["adapters"] > 0 and score["probes"] > 0) == (name != "detector")


def test_reports_phases_personas_and_machine(result: dict[str, Any]) -> None:
    run = next(run for run in result["runs"] if run["arm"] == "graph")
    assert set(run["phases_ms"]) == set(PHASES)
    personas = {name for run in result["runs"] for name in run["personas"]}
    assert personas == {label.value for label in LABELS}
    sample = result["arms"]["graph"]["samples"][-1]
    assert sample["replicas"] == dict.fromkeys(REPLICA_KINDS, 1)
    assert sample["memory_mib"].keys() >= set(REPLICA_KINDS.values())
    assert sample["cores"].keys() == sample["memory_mib"].keys()


def test_reports_settings(result: dict[str, Any]) -> None:
    expected = {"seed", "machine", "input_lengths", "output_lengths", "objective", "plan", "config"}
    assert result["settings"].keys() >= expected
    lengths = result["arms"]["graph"]["input_tokens"]
    assert lengths["max"] > lengths["min"]


def test_page_is_self_contained(out: Path) -> None:
    page = out.with_suffix(".html").read_text("utf-8")
    assert page.count("<svg") > 10
    assert not re.search(r"<script|<link|<img|https?://(?!www\.w3\.org)", page)
