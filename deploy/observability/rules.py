"""Prometheus rules: recorded shares, and alerts of an operator's pager.

Objectives: 99.9 % of the answers do not fail, 95 % have their first text within a second. Alerts on
how fast the budget of 30 days burns, over a long and a short window, as in Google's SRE workbook.
"""

from dataclasses import dataclass
from typing import Any

import yaml

AVAILABLE = 0.999
IN_TIME = 0.95
WINDOWS = ("5m", "30m", "1h", "6h")
BURNS = (("1h", "5m", 14.4, "page"), ("6h", "30m", 6.0, "ticket"))
ANSWERED = 'call="respond", outcome=~"ok|safety|concern"'
COUNTED = 'call="respond", outcome!~"invalid|client_disconnected|rejected"'
FAILED = 'call="respond", outcome=~"failed|deadline_exceeded"'
OR_ZERO = " or vector(0)"  # of a sum over a counter that Ray exports only once it has counted


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert. `text` says what is wrong and what to do."""

    name: str
    query: str
    lasts: str
    severity: str
    text: str

    def rule(self) -> dict[str, Any]:
        """Return the alert as Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": self.query,
            "for": self.lasts,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.text},
        }


def requests(where: str, window: str) -> str:
    """Return a query of requests a second."""
    return f"sum(rate(ray_fye_requests_total{{{where}}}[{window}]))"


def recorded() -> dict[str, str]:
    """Return recorded shares by name: of failures, and of answers that were late."""
    found = {}
    for window in WINDOWS:
        found[f"fye:failed:share_{window}"] = (
            f"({requests(FAILED, window)}{OR_ZERO}) / {requests(COUNTED, window)}"
        )
        within = f'sum(rate(ray_fye_ttft_ms_bucket{{le=~"1000(.0)?"}}[{window}]))'
        every = f"sum(rate(ray_fye_ttft_ms_count[{window}]))"
        found[f"fye:late:share_{window}"] = f"1 - {within} / {every}"
    return found


def alerts() -> list[Alert]:
    """Return all alerts."""
    safety = 'call="respond", outcome="safety"'
    share = f"({requests(safety, '{}')} / {requests(ANSWERED, '{}')})"
    now = share.replace("{}", "15m")
    day = share.replace("{}", "1d")
    return [
        *_burns("FyeAnswersFail", "failed", 1 - AVAILABLE, "answers fail or time out"),
        *_burns("FyeAnswersLate", "late", 1 - IN_TIME, "first texts take longer than a second"),
        Alert(
            "FyeReplicaDead",
            _missing_replicas(),
            "5m",
            "page",
            "{{ $labels.deployment }} has fewer healthy replicas than it should have; see the log"
            " of Serve's controller.",
        ),
        Alert(
            "FyeSafetyShareJumped",
            f"{now} > 3 * {day} and {now} > 0.01",
            "10m",
            "ticket",
            "Safety replies are three times as frequent as in the last day: an event, an attack,"
            " or a detector that has changed.",
        ),
        Alert(
            "FyeBaseModelAnswers",
            'sum by (persona) (rate(ray_fye_requests_total{call="respond", outcome="ok",'
            ' adapter="none", persona!="none"}[10m])) > 0',
            "10m",
            "ticket",
            "{{ $labels.persona }} is answered by the base model without an adapter; publish and"
            " promote one, or roll back.",
        ),
        Alert(
            "FyeAdapterFallback",
            "max by (persona) (ray_fye_adapter_fallback) > 0",
            "2m",
            "ticket",
            "{{ $labels.persona }} answers with an earlier version or its instruction, because a"
            " replica cannot load the promoted one; see the replica's log and /readyz.",
        ),
        Alert(
            "FyeTrialWithdrawn",
            "max by (persona) (ray_fye_trial_withdrawn) > 0",
            "0m",
            "ticket",
            "The version of {{ $labels.persona }} on trial was worse and was rolled back; see"
            " `python -m serve adapters status`.",
        ),
    ]


def _missing_replicas() -> str:
    """Return a query of deployments without all replicas. Ray soon forgets one that has died."""
    by = "by (application, deployment)"
    target = f"max {by} (ray_serve_autoscaling_target_replicas)"
    return f"{target} > (sum {by} (ray_serve_deployment_replica_healthy) or 0 * {target})"


def _burns(name: str, share: str, budget: float, what: str) -> list[Alert]:
    return [
        Alert(
            f"{name}{severity.title()}",
            f"fye:{share}:share_{long} > {round(factor * budget, 6)}"
            f" and fye:{share}:share_{short} > {round(factor * budget, 6)}",
            "2m",
            severity,
            f"Too many {what}: at this rate the budget of 30 days is used up"
            f" {factor:g} times too fast.",
        )
        for long, short, factor, severity in BURNS
        if factor * budget < 1
    ]


def groups() -> dict[str, Any]:
    """Return the groups of rules, as promtool and Prometheus read them."""
    shares = [{"record": name, "expr": query} for name, query in recorded().items()]
    return {
        "groups": [
            {"name": "face-your-emotions-shares", "rules": shares},
            {"name": "face-your-emotions-alerts", "rules": [alert.rule() for alert in alerts()]},
        ]
    }


def rules_yaml() -> str:
    """Return the file of rules for promtool and for `rule_files` of Prometheus."""
    return _yaml(groups())


def manifest_yaml() -> str:
    """Return the same rules for the Prometheus operator, which loads objects and not files."""
    return _yaml(
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": "face-your-emotions"},
            "spec": groups(),
        }
    )


def _yaml(document: dict[str, Any]) -> str:
    head = "# Generated from deploy/observability/rules.py by `deploy/check --write`.\n"
    return head + yaml.safe_dump(document, sort_keys=False, width=100)
