"""Queries of panels, recorded shares and alerts, and which of them may have no data."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deploy.observability import dashboards, rules

METRIC = re.compile(r"ray_[a-z0-9_]+")
FAULT = "only in a fault"
NO_VLLM = "only with vLLM; run again with --engine vllm"
ONE_CANDIDATE = "only with responder.candidates above 1"
# Parts of queries, and why a healthy graph has no data for them.
FAULTS = {
    "fye_detect_errors": f"{FAULT}: a batch of the detector that fails",
    "fye_retries": f"{FAULT}: a detector replica that dies or is slow",
}
EXCUSES: dict[str, Mapping[str, str]] = {
    "scripted": FAULTS | {"ray_vllm_": NO_VLLM, "fye_engine_operator": NO_VLLM},
    "vllm": FAULTS | {"fye_critic_ms": ONE_CANDIDATE, "fye_candidate_fallbacks": ONE_CANDIDATE},
}


@dataclass(frozen=True)
class Wanted:
    """One query that should return data."""

    place: str  # the dashboard, "recorded" or "alert"
    title: str
    query: str


@dataclass(frozen=True)
class Finding:
    """Values of the series that a query found."""

    wanted: Wanted
    values: list[float]
    excuse: str | None

    @property
    def failed(self) -> bool:
        """True without data and without a reason for that."""
        return not self.values and self.excuse is None

    def describe(self) -> str:
        """Format the finding as one line."""
        if self.values:
            state = f"{len(self.values)} series, up to {max(self.values):g}"
        else:
            state = f"none: {self.excuse}" if self.excuse else "NONE"
        return f"{self.wanted.place:9} {self.wanted.title:70} {state}"


def wanted() -> list[Wanted]:
    """Return what is asked for: each query of a panel or record, each metric of an alert."""
    panels = [
        Wanted(name, f"{panel.title} ({legend})", without_zero(query))
        for name, panels in dashboards.DASHBOARDS.items()
        for panel in panels
        for legend, query in panel.queries.items()
    ]
    records = [
        Wanted("recorded", name, f"{name} and ({without_zero(query)})")
        for name, query in rules.recorded().items()
    ]
    alerts = [
        Wanted("alert", f"{alert.name} ({metric})", f"count ({metric})")
        for alert in rules.alerts()
        for metric in sorted(set(METRIC.findall(alert.query)))
    ]
    return panels + records + alerts


def without_zero(query: str) -> str:
    """Return a query that finds nothing where a panel shows 0, so that a wrong name shows."""
    return query.replace(rules.OR_ZERO, "")


def judge(wanted: Wanted, values: Iterable[float], engine: str) -> Finding:
    """Return the finding of a query, with the reason why it may be empty."""
    excuses = (why for part, why in EXCUSES[engine].items() if part in wanted.query)
    return Finding(wanted, list(values), next(excuses, None))
