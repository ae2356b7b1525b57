"""Check of the dashboards (`make observe-check`): a real Prometheus scrapes the running graph.

graph + light load + Prometheus -> each query of each panel, record and alert
-> one line for each, exit status 1 if one has no data and no reason for that
"""

import asyncio
import time
from typing import Annotated, Literal

import httpx
import typer

from load.harness.graph import RunningGraph, console, local_config, running_graph
from load.harness.ports import free_port
from load.observe.panels import Finding, Wanted, judge, wanted
from load.observe.prometheus import Prometheus, running_prometheus
from load.observe.traffic import TIMEOUT_S, send_round
from serve.config import (
    SCRIPTED,
    DetectorConfig,
    HardwareProfile,
    KeysConfig,
    Replicas,
    ResponderConfig,
    ScriptedConfig,
    ServeConfig,
)
from support.admin_key import ADMIN_HEADERS, ADMIN_SHA256

PAUSE_S = 1.0  # between rounds


def config_of(engine: str) -> ServeConfig:
    """Return a graph of which every part reports: detectors are scaled, a critic picks answers."""
    keys = {"api_keys": KeysConfig(admin_sha256=ADMIN_SHA256)}
    if engine == "vllm":
        return local_config().model_copy(update=keys)
    responder = ResponderConfig(
        kind="scripted",
        candidates=2,
        critic="critic",
        queue=4,
        hardware=HardwareProfile(max_num_seqs=4),
        scripted=ScriptedConfig(token_s=0.01),
    )
    detector = DetectorConfig(kind="scripted", replicas=Replicas(minimum=1, maximum=2))
    return SCRIPTED.model_copy(update=keys | {"responder": responder, "detector": detector})


async def observe(
    graph: RunningGraph, prometheus: Prometheus, engine: str, limit_s: float
) -> list[Finding]:
    """Send rounds until every query has data or a reason for having none, or the time is over."""
    deadline_s = time.monotonic() + limit_s
    statuses: dict[str, list[int]] = {}
    async with httpx.AsyncClient(
        base_url=graph.url, timeout=TIMEOUT_S, headers=ADMIN_HEADERS
    ) as client:
        while True:
            statuses = await send_round(client)
            findings = await asyncio.to_thread(_ask, prometheus, wanted(), engine)
            if not any(one.failed for one in findings) or time.monotonic() > deadline_s:
                break
            await asyncio.sleep(PAUSE_S)
    if error := await asyncio.to_thread(prometheus.scrape_error):
        console.print(f"[red]the last scrape failed: {error}[/]")
    for kind, found in statuses.items():
        console.print(f"sent      {kind:70} {', '.join(map(str, sorted(set(found))))}")
    return findings


def _ask(prometheus: Prometheus, queries: list[Wanted], engine: str) -> list[Finding]:
    return [judge(one, prometheus.values(one.query), engine) for one in queries]


def node_address() -> str:
    """Return where Ray exports the metrics of this node, as Prometheus scrapes it in a cluster."""
    import ray

    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    port = next(node["MetricsExportPort"] for node in nodes if node["Alive"])
    return f"127.0.0.1:{port}"


def broken_rules(prometheus: Prometheus) -> list[str]:
    """Print the state of each alert. Returns the errors of the rules."""
    rules = prometheus.rules()
    for rule in rules:
        if rule["type"] == "alerting":
            console.print(f"alert     {rule['name']:70} {rule['state']}")
    return [f"{one['name']}: {one.get('lastError')}" for one in rules if one["health"] == "err"]


def main(
    engine: Annotated[
        Literal["scripted", "vllm"], typer.Option(help="deterministic engine, or real models")
    ] = "scripted",
    limit_s: Annotated[float, typer.Option(help="seconds until every query must have data")] = 240,
) -> None:
    """Show that each panel has data. Exit status 1 if one has none and no reason for that."""
    with (
        running_graph(config_of(engine), free_port()) as graph,
        running_prometheus(node_address()) as prometheus,
    ):
        findings = asyncio.run(observe(graph, prometheus, engine, limit_s))
        broken = broken_rules(prometheus)
    for finding in findings:
        console.print(finding.describe())
    failed = sum(one.failed for one in findings)
    excused = sum(not one.values for one in findings) - failed
    console.print(
        f"{len(findings)} queries: {len(findings) - failed - excused} have data, {excused} have"
        f" none for a known reason, {failed} have none; {len(broken)} rules have an error"
    )
    for error in broken:
        console.print(f"[red]{error}[/]")
    raise typer.Exit(bool(failed or broken))


if __name__ == "__main__":
    typer.run(main)
