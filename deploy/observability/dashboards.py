"""Grafana dashboards: what each panel shows, and the JSON that Grafana imports.

Every dashboard has a variable for its Prometheus data source. Names of metrics are those that Ray
exports: `ray_` before the names of `serve`, `_total` behind its counters.
"""

import json
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from deploy.observability import rules

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${datasource}")
WINDOW = "[5m]"
HEIGHT = 8
WIDTH = 12


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph: its title, its unit in Grafana's names, and queries by legend."""

    title: str
    unit: str
    queries: dict[str, str]


def rate(metric: str, by: str = "", where: str = "") -> str:
    """Return a query of a counter a second. Without `by` it is 0 before the first count."""
    counted = f"rate(ray_{metric}_total{where}{WINDOW})"
    return f"sum by ({by}) ({counted})" if by else f"(sum ({counted}){rules.OR_ZERO})"


def quantile(share: float, metric: str, by: str = "") -> str:
    """Return a query of a histogram's quantile."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate(ray_{metric}_bucket{WINDOW})))"


def quantiles(metric: str) -> dict[str, str]:
    """Return queries of the median, the 95th and the 99th percentile."""
    return {name: quantile(share, metric) for name, share in SHARES.items()}


SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
ANSWERED = f"{{{rules.ANSWERED}}}"
BASE = '{call="respond", adapter="none", outcome="ok"}'
FAILED = '{call="respond", outcome=~"failed|deadline_exceeded"}'
DASHBOARDS: dict[str, tuple[Panel, ...]] = {
    "overview": (
        Panel("Requests by call", "reqps", {"{{call}}": rate("fye_requests", "call")}),
        Panel("Requests by outcome", "reqps", {"{{outcome}}": rate("fye_requests", "outcome")}),
        Panel("TTFT", "ms", quantiles("fye_ttft_ms")),
        Panel(
            "TTFT p95 by persona", "ms", {"{{persona}}": quantile(0.95, "fye_ttft_ms", "persona")}
        ),
        Panel("Time per token", "ms", quantiles("fye_tpot_ms")),
        Panel(
            "Time per token p95 by persona",
            "ms",
            {"{{persona}}": quantile(0.95, "fye_tpot_ms", "persona")},
        ),
        Panel(
            "Goodput: answers with a TTFT of at most 1 s",
            "reqps",
            {"goodput": f'sum (rate(ray_fye_ttft_ms_bucket{{le=~"1000(.0)?"}}{WINDOW}))'},
        ),
        Panel("Tokens", "ops", {"{{kind}}": rate("fye_tokens", "kind")}),
        Panel(
            "Rejected and failed",
            "reqps",
            {
                "rejected": rate("fye_requests", where='{outcome="rejected"}'),
                "failed or timed out": rate("fye_requests", where=FAILED),
            },
        ),
        Panel(
            "Safety replies",
            "percentunit",
            {
                "share of answers": rate("fye_requests", where='{outcome="safety"}')
                + " / "
                + rate("fye_requests", where=ANSWERED)
            },
        ),
    ),
    "stages": (
        Panel("Queue", "ms", quantiles("fye_queue_ms")),
        Panel("Detection", "ms", quantiles("fye_detect_ms")),
        Panel("First token", "ms", quantiles("fye_first_token_ms")),
        Panel("Whole answer", "ms", quantiles("fye_total_ms")),
        Panel("Texts in a detector batch", "short", quantiles("fye_batch_texts")),
        Panel("Critic", "ms", quantiles("fye_critic_ms")),
        Panel(
            "Answers with fewer candidates or without a score",
            "ops",
            {"{{reason}}": rate("fye_candidate_fallbacks", "reason")},
        ),
        Panel(
            "Detector errors and retries",
            "ops",
            {"errors": rate("fye_detect_errors"), "retries": rate("fye_retries")},
        ),
    ),
    "engine": (
        Panel(
            "Answers in the batch and waiting",
            "short",
            {
                "running": "sum (ray_vllm_num_requests_running)",
                "waiting": "sum (ray_vllm_num_requests_waiting)",
            },
        ),
        Panel("KV cache in use", "percentunit", {"most": "max (ray_vllm_kv_cache_usage_perc)"}),
        Panel(
            "Prompt tokens found in the prefix cache",
            "percentunit",
            {"share": rate("vllm_prefix_cache_hits") + " / " + rate("vllm_prefix_cache_queries")},
        ),
        Panel(
            "Tokens",
            "ops",
            {
                "generated": rate("vllm_generation_tokens"),
                "read": rate("vllm_prompt_tokens"),
            },
        ),
        Panel("Preemptions", "ops", {"preemptions": rate("vllm_num_preemptions")}),
        Panel(
            "Optional operators that are active",
            "short",
            {"{{operator}}": "min by (operator) (ray_fye_engine_operator)"},
        ),
    ),
    "scaling": (
        Panel(
            "Replicas wanted by the policy, and to have",
            "short",
            {
                "{{deployment}} wanted": "max by (deployment)"
                " (ray_serve_autoscaling_desired_replicas)",
                "{{deployment}} to have": "max by (deployment)"
                " (ray_serve_autoscaling_target_replicas)",
            },
        ),
        Panel(
            "Healthy replicas",
            "short",
            {"{{deployment}}": "sum by (deployment) (ray_serve_deployment_replica_healthy)"},
        ),
        Panel(
            "Requests that the policy saw",
            "short",
            {"{{deployment}}": "max by (deployment) (ray_serve_autoscaling_total_requests)"},
        ),
        Panel(
            "Time of a decision",
            "ms",
            {
                "{{policy_scope}}": "max by (policy_scope)"
                " (ray_serve_autoscaling_policy_execution_time_ms)"
            },
        ),
    ),
    "releases": (
        Panel(
            "Answers by adapter version",
            "reqps",
            {"{{adapter}}": rate("fye_requests", "adapter", ANSWERED)},
        ),
        Panel(
            "Failures by adapter version",
            "reqps",
            {"{{adapter}}": rate("fye_requests", "adapter", FAILED)},
        ),
        Panel(
            "Answers of the base model, without an adapter",
            "reqps",
            {"{{persona}}": rate("fye_requests", "persona", BASE)},
        ),
        Panel("Tokens by persona", "ops", {"{{persona}}": rate("fye_tokens", "persona")}),
        Panel(
            "Trials that the guard has ended",
            "short",
            {"{{persona}}": "max by (persona) (ray_fye_trial_withdrawn)"},
        ),
    ),
}


def queries() -> list[str]:
    """Return the query of every panel."""
    return [
        query
        for panels in DASHBOARDS.values()
        for panel in panels
        for query in panel.queries.values()
    ]


def dashboard_json(name: str) -> str:
    """Return a dashboard as Grafana imports it."""
    builder = (
        Dashboard(f"Face Your Emotions: {name}")
        .uid(f"fye-{name}")
        .tags(["face-your-emotions"])
        .refresh("10s")
        .time("now-1h", "now")
        .with_variable(DatasourceVariable("datasource").type("prometheus").label("Data source"))
    )
    for panel in DASHBOARDS[name]:
        builder = builder.with_panel(_panel(panel))
    plain: Any = json.loads(JSONEncoder(sort_keys=True).encode(builder.build()))
    return json.dumps(plain, indent=1, sort_keys=True) + "\n"


def _panel(panel: Panel) -> TimeSeries:
    built = TimeSeries().title(panel.title).unit(panel.unit).datasource(PROMETHEUS)
    built = built.height(HEIGHT).span(WIDTH).min(0)
    for letter, (legend, query) in zip("ABCDEF", panel.queries.items(), strict=False):
        built = built.with_target(Dataquery().expr(query).legend_format(legend).ref_id(letter))
    return built
