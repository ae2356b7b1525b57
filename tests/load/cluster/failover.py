"""Failover test of the shipped manifests (`make cluster`): a Ray cluster of pods on this machine.

It starts the RayService of an overlay, deploys its Serve config, sends steady load, and kills the
head, a responder, and a pod of each worker group. Exit status 1 if a request was lost that was not
in flight on what died.

PYTHONPATH=tests .venv/bin/python -m load.cluster.failover [--overlay NAME] [--only PHASE ...]
"""

import asyncio
import json
import shutil
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from load.chaos.cluster import wait_until
from load.chaos.trial import load_until_done
from load.cluster import overrides
from load.cluster.cluster import LocalCluster
from load.cluster.entry import Entry
from load.cluster.kuberay import RayService
from load.cluster.namespaces import ClusterError, is_inside, make_machine, run_inside
from load.cluster.phases import Strike, kill_head, kill_pod, kill_responder, strike_nothing
from load.cluster.pods import REPOSITORY
from load.cluster.result import COLUMNS, Phase, Struck, judge

OUT = REPOSITORY / ".bench" / "cluster.json"
FOLDER = Path("/run/fye")
START_TIMEOUT_S = 900.0
RECOVERY_TIMEOUT_S = 300.0
BEFORE_S = 5.0
RATE_PER_S = 3.0
console = Console(highlight=False, width=200)


def strikes(service: RayService) -> dict[str, Strike]:
    """Return what is killed, by the name of its phase."""
    pods = {f"a {group} pod killed": kill_pod(group) for group in service.groups}
    return {
        "steady": strike_nothing,
        "head killed": kill_head,
        "responder killed": kill_responder,
        **pods,
    }


async def run_phase(
    cluster: LocalCluster, name: str, strike: Strike, rate: float, seed: int
) -> Phase:
    """Send load, strike, and continue until the cluster has recovered."""
    cluster.entry.begin()
    replaced = cluster.replaced
    injection = asyncio.create_task(_strike(cluster, strike))
    _, lateness_s = await load_until_done(cluster.entry.send, rate, seed, injection)
    struck, problems = await injection
    sent = cluster.entry.sent
    if cluster.entry.unready_s:
        also = f"{struck.effect}; no pod ready for {cluster.entry.unready_s:.0f} s"
        struck = replace(struck, effect=also)
    if cluster.replaced > replaced:
        also = f"{struck.effect}; {cluster.replaced - replaced} pods ended by themselves"
        struck = replace(struck, effect=also)
    problems += judge(sent, struck, lateness_s)
    return Phase(name, sent, struck, problems)


async def _strike(cluster: LocalCluster, strike: Strike) -> tuple[Struck, list[str]]:
    await asyncio.sleep(BEFORE_S)
    now_s = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(RECOVERY_TIMEOUT_S):
            return await strike(cluster), []
    except TimeoutError:
        problem = f"not healthy after {RECOVERY_TIMEOUT_S:.0f} s: {await cluster.unhealthy()}"
    except ClusterError as error:
        problem = str(error)
    return Struck(now_s, "no recovery"), [problem]


async def run(overlay: str, only: list[str], rate: float) -> list[Phase]:
    """Run the cluster and all phases, and print each as it ends."""
    service = RayService.of_overlay(overlay, overrides.SECRETS)
    entry = Entry(seed=1)
    cluster = LocalCluster(service, entry, FOLDER)
    phases = []
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            await cluster.start()
            await cluster.deploy()
            await wait_until(cluster.is_healthy)
        for number, (name, strike) in enumerate(strikes(service).items()):
            if only and name not in only:
                continue
            phase = await run_phase(cluster, name, strike, rate, seed=100 * number)
            phases.append(phase)
            console.print(phase.row())
            for problem, times in Counter(phase.problems).items():
                console.print(f"[red]{name}[/]: {problem} ({times} x)", markup=True)
    except TimeoutError:
        raise ClusterError(f"not healthy: {await cluster.unhealthy()}") from None
    finally:
        await entry.close()
    return phases


def build_table(overlay: str, phases: list[Phase]) -> Table:
    """Build the table of all phases."""
    table = Table(*COLUMNS, title=f"{overlay}, one machine")
    for phase in phases:
        table.add_row(*(str(phase.row()[column]) for column in COLUMNS))
    return table


def main(
    overlay: Annotated[str, typer.Option(help="folder in deploy/kuberay/overlays")] = "one-gpu",
    only: Annotated[list[str], typer.Option(help="name of a phase; may be repeated")] = [],  # noqa: B006
    rate: Annotated[float, typer.Option(help="requests a second")] = RATE_PER_S,
    out: Annotated[Path, typer.Option(help="JSON file")] = OUT,
    logs: Annotated[Path | None, typer.Option(help="folder for the pods' logs")] = None,
) -> None:
    """Kill parts of a cluster under load. Exit status 1 if more was lost than was on them."""
    try:
        if not is_inside():
            raise typer.Exit(run_inside("load.cluster.failover", sys.argv[1:]))
        make_machine()
        FOLDER.mkdir()
        phases = asyncio.run(run(overlay, only, rate))
    except ClusterError as error:
        console.print(f"[red]{error}[/]")
        raise typer.Exit(1) from error
    finally:
        if logs and is_inside() and FOLDER.exists():
            shutil.copytree(FOLDER, logs, dirs_exist_ok=True, ignore=_without_sockets)
    console.print(build_table(overlay, phases))
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = [phase.row() for phase in phases]
    out.write_text(json.dumps({"overlay": overlay, "phases": rows}, indent=2) + "\n", "utf-8")
    raise typer.Exit(any(phase.problems for phase in phases))


def _without_sockets(folder: str, names: list[str]) -> list[str]:
    return [
        name for name in names if not (Path(folder, name).is_file() or Path(folder, name).is_dir())
    ]


if __name__ == "__main__":
    typer.run(main)
