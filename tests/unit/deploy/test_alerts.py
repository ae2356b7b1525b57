"""Alerts: promtool's unit tests of them, and that each alert has one."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.observability import rules

FOLDER = Path(__file__).parents[3] / "deploy" / "observability" / "prometheus"
TESTS = FOLDER / "alerts.test.yaml"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="no promtool; it is in Debian's package `prometheus`"
)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL is not None
    return subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)


@needs_promtool
def test_promtool_accepts_the_rules() -> None:
    done = promtool("check", "rules", FOLDER / "rules.yaml")
    assert done.returncode == 0, done.stderr
    assert f"{len(rules.recorded()) + len(rules.alerts())} rules found" in done.stdout


@needs_promtool
def test_alerts_fire_when_they_should() -> None:
    done = promtool("test", "rules", TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", rules.alerts(), ids=lambda alert: alert.name)
def test_each_alert_has_a_unit_test_in_which_it_fires(alert: rules.Alert) -> None:
    tests = yaml.safe_load(TESTS.read_text("utf-8"))["tests"]
    fired = {
        case["alertname"]
        for test in tests
        for case in test.get("alert_rule_test", ())
        if case.get("exp_alerts")
    }
    samples = str([test.get("promql_expr_test") for test in tests])
    assert alert.name in fired or f'alertname="{alert.name}"' in samples
