"""The load test's statistics: figures of a window, knees, growth, and whether an answer was the right one."""

import itertools
import json
import math
from typing import Any

import pytest

from load.harness.metrics import Objective, Run, Window, figures_of, is_saturated, latencies, stages_of
from load.harness.outcomes import Outcome
from load.harness.workload import PROBE_SHARE, probes, varied
from load.sweep.correctness import Reference, closeness, common_prefix, is_closest, scored
from load.sweep.knee import exponent, knees_of, points_of, power_knee, rate_knee
from models.emotions import LABELS, Emotion

WINDOW = Window(from_s=10, to_s=20)
OBJECTIVE = Objective(ttft_ms=500, tpot_ms=250)


def answered(began_s: float, **other: Any) -> Outcome:
    """First token after 0.4 s, four more every 0.2 s."""
    times = tuple(began_s + 0.4 + 0.2 * number for number in range(5))
    found = {"tokens_at_s": times, "ended_s": times[-1], "completion_tokens": 5, "prompt_tokens": 7}
    return Outcome(emotion=Emotion.JOY, end="ok", began_s=began_s, **(found | other))


def run_of(level: float, arm: str = "graph", repeat: int = 0, **figures: float) -> Run:
    mode = "concurrency" if "mean_e2el_ms" in figures else "rate"
    return Run(arm=arm, mode=mode, level=level, repeat=repeat, figures=figures, ends={}, stages_ms={}, personas={})


def test_times_between_pieces_and_per_token() -> None:
    figures = latencies([answered(0), answered(1, tokens_at_s=(1.5, 2.5), completion_tokens=6)])
    assert figures["p50_itl_ms"] == pytest.approx(200)
    assert figures["p99_itl_ms"] == pytest.approx(1000, rel=0.05)
    assert figures["mean_itl_ms"] == pytest.approx((4 * 200 + 1000) / 5)
    assert figures["median_tpot_ms"] == pytest.approx(200)
    assert figures["mean_ttft_ms"] == pytest.approx(450)


def test_an_answer_of_one_piece_has_no_time_between() -> None:
    assert latencies([answered(0, tokens_at_s=(0.4,), completion_tokens=1)]).keys() == {
        f"{share}_{kind}_ms" for kind in ("ttft", "e2el") for share in ("mean", "median", "std", "p50", "p90", "p95", "p99")
    }


def test_only_the_window_is_measured() -> None:
    early, within, over_the_end, late = answered(8.5), answered(12), answered(19.5), answered(21)
    figures = figures_of([early, within, over_the_end, late], WINDOW, OBJECTIVE, late_s=0.002, client_cores=0.1)
    assert figures["completed"] == 2, "those that began in it"
    assert figures["request_throughput"] == pytest.approx(0.1), "those that ended in it"
    assert figures["output_throughput"] == pytest.approx((5 + 5 * 0.1 / 0.8) / 10)
    assert figures["request_goodput"] == pytest.approx(0.1)
    assert figures["offered"] == pytest.approx(0.2)
    assert figures["client_late_ms"] == pytest.approx(2)


def test_refusals_and_failures_are_counted_apart_and_meet_nothing() -> None:
    refused = Outcome(emotion=Emotion.JOY, end="refused", began_s=11, ended_s=11.1, status=429)
    lost = Outcome(emotion=Emotion.JOY, end="lost", began_s=11, ended_s=12)
    figures = figures_of([answered(12), refused, lost, answered(13)], WINDOW, OBJECTIVE, 0, 0)
    assert (figures["completed"], figures["refused"], figures["failed"]) == (2, 1, 1)
    assert figures["slo_attainment"] == pytest.approx(0.5)


def test_an_empty_window_gives_no_figure_that_is_no_number() -> None:
    figures = figures_of([], WINDOW, OBJECTIVE, 0, 0)
    json.dumps(figures, allow_nan=False)
    assert "slo_attainment" not in figures


def test_the_objective_asks_for_both() -> None:
    assert OBJECTIVE.met_by(answered(0))
    assert not OBJECTIVE.met_by(answered(0, tokens_at_s=(0.6, 0.7)))
    assert not OBJECTIVE.met_by(answered(0, completion_tokens=3))
    assert not OBJECTIVE.met_by(answered(0, tokens_at_s=()))


def test_stages_come_from_the_server() -> None:
    timed = answered(0, timings_ms={"queue": 1, "detect": 20, "first_token": 100, "generate": 800, "total": 921})
    assert stages_of([timed, answered(1)])["detect"]["p99_ms"] == pytest.approx(20)
    assert stages_of([answered(1)]) == {}


@pytest.mark.parametrize(
    ("late_ms", "cores", "expected"),
    [(1, 0.2, False), (4.9, 0.2, False), (30, 0.2, True), (1, 0.95, True)],
)
def test_a_client_that_is_late_or_busy_is_saturated(late_ms: float, cores: float, expected: bool) -> None:
    assert is_saturated({"client_late_ms": late_ms, "client_cores": cores, "median_e2el_ms": 100}) is expected


def test_the_knee_of_rates_is_the_last_before_the_first_miss() -> None:
    runs = [run_of(level, slo_attainment=met) for level, met in ((1, 1.0), (2, 0.95), (4, 0.5), (8, 0.92))]
    level, words = rate_knee(points_of(runs))
    assert level == 2
    assert "at 4/s" in words


def test_a_curve_that_does_not_bend_is_said_to_go_on() -> None:
    level, words = rate_knee(points_of([run_of(1, slo_attainment=1), run_of(2, slo_attainment=0.9)]))
    assert (level, "or beyond" in words) == (2, True)
    assert rate_knee(points_of([run_of(1, slo_attainment=0.2)]))[0] is None
    assert rate_knee(points_of([run_of(1)]))[0] is None


def test_the_knee_of_users_is_where_power_is_greatest() -> None:
    runs = [run_of(n, request_throughput=x, mean_e2el_ms=r) for n, x, r in ((1, 1, 1000), (4, 3.8, 1050), (16, 8, 2000), (32, 8.1, 4000))]
    assert power_knee(points_of(runs))[0] == 16
    assert power_knee(points_of([run_of(1, request_throughput=0, mean_e2el_ms=1)]))[0] is None


def test_each_arm_has_a_knee_of_each_mode() -> None:
    runs = [run_of(1, arm, slo_attainment=1) for arm in ("graph", "bare")] + [run_of(1, request_throughput=1, mean_e2el_ms=1)]
    assert {(knee.arm, knee.mode) for knee in knees_of(points_of(runs))} == {("graph", "rate"), ("graph", "concurrency"), ("bare", "rate")}


def test_a_point_holds_the_median_and_the_extremes_of_its_repeats() -> None:
    point = points_of([run_of(1, repeat=number, offered=value) for number, value in enumerate((3.0, 1.0, 2.0))])[0]
    assert (point.value("offered"), point.figures["offered"].low, point.figures["offered"].high) == (2, 1, 3)
    assert math.isnan(point.value("unheard_of"))


def test_the_exponent_of_a_power_is_found() -> None:
    sizes = [1, 2, 4, 8]
    assert exponent(sizes, [3 * size**0.7 for size in sizes]) == pytest.approx(0.7)
    assert exponent(sizes, [5.0] * 4) == pytest.approx(0)


TEXTS = {label: f"I {label} you so much that it hurts" for label in LABELS}
IDLE = [Reference(texts=TEXTS, adapters={label: f"{label}@x" for label in LABELS})]


def test_a_text_that_differs_in_its_end_is_still_its_persona() -> None:
    assert is_closest("I joy you so much that we sing", Emotion.JOY, TEXTS)
    assert not is_closest("I joy you so much that it hurts", Emotion.ANGER, TEXTS)
    assert common_prefix("a b c", "a b d e") == pytest.approx(0.5)
    assert common_prefix("", "") == 1
    assert closeness("a b", "a b") > closeness("a b", "a c") > closeness("a b", "c b")


def test_answers_are_scored_against_the_idle_server() -> None:
    right = answered(0, detected="joy", adapter="joy@x", asked="a", probe=0, text=TEXTS[Emotion.JOY])
    other_text = answered(0, detected="joy", adapter="joy@x", asked="a", probe=0, text=TEXTS[Emotion.FEAR])
    other_adapter = answered(0, detected="joy", adapter="fear@x", asked="b", text="whatever")
    flagged = answered(0, detected="joy", adapter=None, completion_tokens=0, asked="c")
    score = scored([right, other_text, other_adapter, flagged], {"a": Emotion.JOY, "b": Emotion.FEAR}, IDLE)
    assert (score.emotions, score.emotion_as_alone) == (3, 2)
    assert (score.adapters, score.adapter_right) == (3, 2)
    assert (score.probes, score.closest, score.identical) == (2, 1, 1)
    assert score.wrong[0].startswith("joy: I fear you")


def test_the_varied_workload_is_the_same_for_the_same_seed_and_has_probes() -> None:
    first, again = (list(itertools.islice(varied(7), 400)) for _ in range(2))
    assert first == again
    assert abs(sum(one.probe is not None for one in first) / 400 - PROBE_SHARE) < 0.08
    assert {one.emotion for one in first} == set(LABELS)
    assert [probe.probe for probe in probes()] == list(range(len(LABELS)))
    assert len({len(one.text.split()) for one in first}) > 30
