"""Verdict on the queries of dashboards and rules, without a graph or Prometheus."""

import pytest

from deploy.observability import dashboards, rules
from load.observe.observe import config_of
from load.observe.panels import EXCUSES, Wanted, judge, wanted, without_zero
from load.observe.traffic import CRISIS
from models.safety.levels import Level
from serve.detector.scripted import ScriptedClassifier

PANEL = Wanted("overview", "Requests", "sum (rate(ray_fye_requests_total[5m]))")
ERRORS = Wanted("stages", "Errors", "sum (rate(ray_fye_detect_errors_total[5m]))")


def test_every_query_of_a_panel_and_every_record_is_asked() -> None:
    places = [one.place for one in wanted()]
    assert len([one for one in places if one in dashboards.DASHBOARDS]) == len(dashboards.queries())
    assert places.count("recorded") == len(rules.recorded())


def test_metrics_of_alerts_are_asked() -> None:
    asked = {one.query for one in wanted() if one.place == "alert"}
    assert "count (ray_serve_autoscaling_target_replicas)" in asked
    assert "count (ray_fye_adapter_fallback)" in asked


def test_a_panel_that_shows_0_without_data_is_asked_without_it() -> None:
    query = dashboards.rate("fye_retries")
    assert query.endswith(" or vector(0))")
    assert "vector" not in without_zero(query)
    assert not [one.query for one in wanted() if "vector" in one.query]


def test_no_data_fails_without_a_reason() -> None:
    finding = judge(PANEL, [], "scripted")
    assert finding.failed
    assert finding.describe().endswith(" NONE")


def test_no_data_with_a_reason_does_not_fail() -> None:
    finding = judge(ERRORS, [], "scripted")
    assert not finding.failed
    assert "only in a fault" in finding.describe()


def test_zero_is_data() -> None:
    finding = judge(PANEL, [0.0, 2.5], "scripted")
    assert not finding.failed
    assert finding.describe().endswith("2 series, up to 2.5")


def test_engine_metrics_must_have_data_with_vllm() -> None:
    running = Wanted("engine", "Running", "sum (ray_vllm_num_requests_running)")
    assert not judge(running, [], "scripted").failed
    assert judge(running, [], "vllm").failed


@pytest.mark.parametrize("engine", EXCUSES)
def test_every_reason_is_about_a_query_that_is_asked(engine: str) -> None:
    queries = " ".join(one.query for one in wanted())
    assert [part for part in EXCUSES[engine] if part not in queries] == []


def test_the_scripted_graph_reports_scaling_and_candidates() -> None:
    config = config_of("scripted")
    assert config.detector.replicas.maximum > config.detector.replicas.minimum
    assert config.responder.candidates > 1


def test_the_crisis_of_a_round_is_one_to_the_scripted_detector() -> None:
    [found] = ScriptedClassifier().classify([CRISIS])
    assert found.level == Level.CRISIS
