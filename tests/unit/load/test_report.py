"""HTML page of the load test."""

from pathlib import Path

import pytest

from load.harness.metrics import persona_latencies, phase_latencies, run_metrics
from load.harness.outcomes import Outcome, count_ends
from load.harness.process_stats import KINDS
from load.harness.runs import Mode, Objective, Run, Window
from load.harness.sampler import Sample
from load.sweep.correctness import Score
from load.sweep.knee import aggregate_runs, find_knees
from load.sweep.plan import SHORT
from load.sweep.report import format_number, write_page
from load.sweep.result import ArmResult, LoadResult, Settings
from unit.load.builders import reply

WINDOW = Window(from_s=0, to_s=10)
OBJECTIVE = Objective(ttft_ms=500, tpot_ms=250)
TIMINGS_MS = {"queue": 1.0, "detect": 20.0, "first_token": 100.0, "generate": 800.0}
OUTCOMES = [reply(second, timings_ms=TIMINGS_MS) for second in range(5)]
SETTINGS = Settings(
    date="2026-01-01",
    machine="test",
    versions={},
    engine="scripted",
    seed=5,
    input_lengths="short",
    output_lengths="short",
    objective=OBJECTIVE,
    detection=OBJECTIVE,
    plan=SHORT,
    config={},
)


def run_at(mode: Mode, level: float, outcomes: list[Outcome]) -> Run:
    return Run(
        arm="graph",
        mode=mode,
        level=level,
        repeat=0,
        metrics=run_metrics(outcomes, WINDOW, OBJECTIVE, lateness_s=0, client_cores=0.1),
        ends=dict(count_ends(outcomes)),
        phases_ms=phase_latencies(outcomes),
        personas=persona_latencies(outcomes),
    )


@pytest.fixture
def result() -> LoadResult:
    usage = dict.fromkeys(KINDS, 1.0)
    samples = [
        Sample(t_s=t_s, cores=usage, memory_mib=usage, replicas={"Responder": 1})
        for t_s in (2.0, 4.0)
    ]
    runs = [run_at("rate", 1, OUTCOMES), run_at("concurrency", 8, OUTCOMES)]
    arm = ArmResult(
        name="graph",
        runs=runs,
        score=Score(probes=1, wrong=["<script>alert(1)</script>"]),
        samples=samples,
        client_saturated=["8 concurrency"],
        input_tokens=[3, 9],
        output_tokens=[5, 5],
    )
    points = aggregate_runs(runs)
    return LoadResult(
        settings=SETTINGS, took_s=9, arms=[arm], points=points, knees=find_knees(points)
    )


def test_page_escapes_replies_and_is_self_contained(result: LoadResult, tmp_path: Path) -> None:
    page = write_page(result, tmp_path / "load.html").read_text("utf-8")
    assert page.count("<svg") == 13
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_result_has_flat_runs(result: LoadResult, tmp_path: Path) -> None:
    result.write(tmp_path / "load.json")
    text = (tmp_path / "load.json").read_text("utf-8")
    assert '"max_concurrency": 8' in text
    assert "graph, concurrency" in result.summary()


@pytest.mark.parametrize(
    ("value", "text"),
    [(float("nan"), "–"), (1234.5, "1,234"), (3.0, "3"), (12.34, "12.3"), (0.5, "0.5")],
)
def test_formats_numbers_briefly(value: float, text: str) -> None:
    assert format_number(value) == text
