"""Dashboards and rules are current, and ask for metrics that exist."""

import importlib.util
import json
import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from deploy.checks import generated
from deploy.observability import dashboards, rules
from serve.pipeline.request_metrics import DESCRIPTIONS

ROOT = Path(__file__).parents[3]
NAME = re.compile(r"ray_([a-z0-9_]+)")
SUFFIX = re.compile(r"_(bucket|count|sum)$")
REGISTERED = re.compile(r"(?:counter|gauge|histogram|_by_persona)\(\s*f?\"(fye_[a-z_{}]+)\"")
LABEL = re.compile(r"([a-z]+)(?:=~|!~|!=|=)\"")
LABELS = {"adapter", "call", "le", "outcome", "persona"}


@cache
def ours() -> frozenset[str]:
    """Return the names that serve registers."""
    text = "\n".join(file.read_text("utf-8") for file in (ROOT / "serve").rglob("*.py"))
    found = set(REGISTERED.findall(text))
    parts = {f"fye_{part}_ms" for part in DESCRIPTIONS}
    return frozenset((found - {"fye_{part}_ms"}) | parts)


@cache
def theirs() -> str:
    """Return the source of Ray Serve and vLLM that registers their metrics."""
    files: list[Path] = []
    for package, folder in (("ray", "serve/_private"), ("vllm", "v1/metrics")):
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        files += (Path(spec.origin).parent / folder).glob("*.py")
    return "\n".join(file.read_text("utf-8") for file in files).replace("vllm:", "vllm_")


def names(query: str) -> set[str]:
    return {SUFFIX.sub("", name) for name in NAME.findall(query)}


def known(name: str) -> bool:
    plain = name.removesuffix("_total")
    return plain in ours() if plain.startswith("fye_") else f'"{plain}"' in theirs()


def test_serve_registers_what_is_documented() -> None:
    assert {"fye_requests", "fye_ttft_ms", "fye_queue_ms", "fye_engine_operator"} <= ours()


@pytest.mark.parametrize("query", [*dashboards.queries(), *rules.recorded().values()])
def test_a_query_asks_for_metrics_and_labels_that_exist(query: str) -> None:
    assert names(query)
    assert [name for name in names(query) if not known(name)] == []
    assert set(LABEL.findall(query)) <= LABELS


@pytest.mark.parametrize("alert", rules.alerts(), ids=lambda alert: alert.name)
def test_an_alert_asks_for_what_exists(alert: rules.Alert) -> None:
    recorded = set(re.findall(r"fye:[a-z]+:share_\w+", alert.query))
    assert recorded <= set(rules.recorded())
    assert [name for name in names(alert.query) if not known(name)] == []
    assert recorded or names(alert.query)


def test_a_metric_without_an_exporter_is_noticed() -> None:
    assert not known("fye_answers_total")
    assert not known("vllm_running")


def test_generated_files_are_current() -> None:
    assert generated.outdated() == []


@pytest.mark.parametrize("name", dashboards.DASHBOARDS)
def test_a_dashboard_has_its_panels_and_a_data_source(name: str) -> None:
    found = json.loads(dashboards.dashboard_json(name))
    titles = [panel["title"] for panel in found["panels"]]
    assert titles == [panel.title for panel in dashboards.DASHBOARDS[name]]
    assert {panel["datasource"]["uid"] for panel in found["panels"]} == {"${datasource}"}
    assert found["templating"]["list"][0]["query"] == "prometheus"
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in found["panels"]]
    assert len(set(places)) == len(places)


def test_the_prometheus_operator_gets_the_same_rules() -> None:
    manifest = yaml.safe_load(rules.manifest_yaml())
    assert (manifest["kind"], manifest["spec"]) == ("PrometheusRule", rules.groups())


def test_every_outcome_with_an_answer_counts_as_answered() -> None:
    source = (ROOT / "serve" / "pipeline" / "request_metrics.py").read_text("utf-8")
    outcomes = set(
        re.findall(r'"([a-z]+)"', source.partition("def _success")[2].partition("\ndef ")[0])
    )
    assert "concern" in outcomes
    for query in (rules.ANSWERED, dashboards.ANSWERED):
        [found] = re.findall(r'outcome=~"([a-z|]+)"', query)
        assert set(found.split("|")) == outcomes


def test_rules_are_groups_of_records_and_alerts() -> None:
    groups = yaml.safe_load(rules.rules_yaml())["groups"]
    assert [len(group["rules"]) for group in groups] == [8, len(rules.alerts())]
    assert {alert["labels"]["severity"] for alert in groups[1]["rules"]} == {"page", "ticket"}
