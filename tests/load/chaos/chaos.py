"""`make chaos`: hurts a cluster of three nodes while it is asked, and counts how every request ended. Lost, wrong and hung must be zero.

PYTHONPATH=tests .venv/bin/python -m load.chaos.chaos [--short] [--only NAME ...]
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from load.chaos.cluster import Cluster, serving_on_nodes
from load.chaos.faults import engine_core_killed, hangs, hangs_for_good, killed, node_removed
from load.chaos.operations import SHORT_TOKEN_S, full_load, have_long_streams, released, scaled, update, update_of_long_streams
from load.chaos.trial import Fault, Load, Strike, Trial, try_fault
from load.harness.client import as_scripted, by_its_persona
from serve.cli.weights import fetch_weights
from serve.config import DetectorConfig, IngressConfig, Replicas, ResponderConfig, ServeConfig

OUT = Path(__file__).parents[3] / ".bench" / "chaos.json"
TWO = Replicas(minimum=2, maximum=2, cpus=1)
CONFIG = ServeConfig(
    ingress=IngressConfig(replicas=TWO),
    detector=DetectorConfig(kind="scripted", replicas=TWO),
    responder=ResponderConfig(kind="scripted", scripted_token_s=SHORT_TOKEN_S, replicas=TWO),
)
LOAD = Load(rate_per_s=6, timeout_s=40, check=as_scripted)
BEFORE_LONG_S = 10.0
LONG_LOAD = Load(rate_per_s=0.9, timeout_s=60, check=as_scripted)  # while one of two responders drains, the other's batch holds all streams
REAL_CONFIG = CONFIG.model_copy(  # Gemma 3 270M, one replica; who asks has time enough for it to load its weights again
    update={"responder": ResponderConfig(), "ingress": IngressConfig(replicas=TWO, max_timeout_ms=300_000)}
)
REAL_LOAD = Load(rate_per_s=0.5, timeout_s=280, check=by_its_persona)  # what two cores can write


def of(stage: str, what: Callable[[Cluster, str], Awaitable[str]]) -> Strike:
    return partial(what, stage=stage)  # type: ignore[call-arg]


FAULTS = (
    Fault("responder killed", of("Responder", killed)),
    Fault("detector killed", of("Detector", killed), spares=True),
    Fault("directory killed", of("AdapterController", killed), spares=True),
    Fault("ingress killed", of("Ingress", killed)),
    Fault("responder hangs", of("Responder", hangs), spares=True),
    Fault("node removed", node_removed),
    Fault("rolling update", update, spares=True),
    Fault("scale up and down", scaled, spares=True),
    Fault("full load", full_load, spares=True, crowds=True),
)
LONG_FAULTS = (
    Fault("responder hangs for good", of("Responder", hangs_for_good)),
    Fault("detector hangs for good", of("Detector", hangs_for_good), spares=True),
    Fault("ingress hangs for good", of("Ingress", hangs_for_good)),
    Fault("update of long streams", update_of_long_streams, spares=True, load=LONG_LOAD, prepare=have_long_streams, before_s=BEFORE_LONG_S),
    Fault("release of an adapter", released, spares=True),
)
ENGINE_FAULT = Fault("engine core killed", engine_core_killed, before_s=8)
COLUMNS = ("fault", "sent", "ok", "refused", "failed_explicitly", "lost", "wrong", "duplicated", "hung", "in the middle", "seen")
console = Console(highlight=False, width=200)


async def trials(short: bool, only: Sequence[str]) -> AsyncIterator[Trial]:
    """Each fault in turn, on one cluster; then the one that needs the real engine, on another."""
    chosen = [fault for fault in (*FAULTS, *(() if short else LONG_FAULTS)) if not only or fault.name in only]
    if chosen:
        async with serving_on_nodes(CONFIG) as cluster:
            for number, fault in enumerate(chosen):
                yield await try_fault(cluster, fault, fault.load or LOAD, seed=100 * number)
    if not short and (not only or ENGINE_FAULT.name in only):
        fetch_weights(REAL_CONFIG)
        async with serving_on_nodes(REAL_CONFIG) as cluster:
            yield await try_fault(cluster, ENGINE_FAULT, REAL_LOAD, seed=1)


async def run(short: bool, only: Sequence[str]) -> list[Trial]:
    found = []
    async for trial in trials(short, only):
        console.print(trial.row(), trial.seen)
        for trouble, times in Counter(trial.troubles).items():
            console.print(f"[red]{trial.fault}[/]: {trouble}" + (f" ({times} times)" if times > 1 else ""))
        found.append(trial)
    return found


def table_of(found: list[Trial]) -> Table:
    table = Table(*COLUMNS, title="faults under load")
    for trial in found:
        cells = trial.row() | {"duplicated": trial.duplicated, "in the middle": trial.in_the_middle, "seen": trial.seen}
        table.add_row(*(str(cells[column]) for column in COLUMNS))
    return table


def with_those_not_run(found: list[Trial], before: Path | None) -> list[dict[str, object]]:
    """The rows of what was run, in the place of those of before; of the other faults there remain those that were there."""
    rows = {row["fault"]: row for row in json.loads(before.read_bytes())} if before and before.exists() else {}
    return list((rows | {trial.fault: trial.row() for trial in found}).values())


def main(
    short: Annotated[bool, typer.Option(help="the faults that are over within four minutes")] = False,
    only: Annotated[list[str], typer.Option(help="a fault, by its name; may be given often")] = [],  # noqa: B006
    out: Annotated[Path, typer.Option(help="where the figures go")] = OUT,
) -> None:
    """Every fault in the middle of a load of streams and whole answers; exit status 1 if a request was lost, wrong or hung."""
    found = asyncio.run(run(short, only))
    console.print(table_of(found))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(with_those_not_run(found, out if only else None), indent=2) + "\n", "utf-8")
    raise typer.Exit(any(trial.troubles for trial in found))


if __name__ == "__main__":
    typer.run(main)
