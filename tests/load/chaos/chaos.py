"""Chaos test (`make chaos`): injects faults into a cluster of four nodes under load.

It counts how every request ended. Lost, wrong and hung must be zero.

PYTHONPATH=tests .venv/bin/python -m load.chaos.chaos [--short] [--only NAME ...]
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from load.chaos import server_stop
from load.chaos.catalog import (
    CONFIG,
    ENGINE_FAULT,
    FAULTS,
    LOAD,
    LONG_FAULTS,
    REAL_CONFIG,
    REAL_LOAD,
)
from load.chaos.start_cluster import run_cluster
from load.chaos.trial import Trial, run_trial
from load.harness.outcomes import ENDS
from serve.cli.weights import fetch_weights

OUT = Path(__file__).parents[3] / ".bench" / "chaos.json"
COLUMNS = ("fault", "sent", *ENDS, "duplicated", "in flight", "observation")
console = Console(highlight=False, width=200)


async def run_trials(short: bool, only: Sequence[str]) -> AsyncIterator[Trial]:
    """Inject each fault on one cluster, then the engine fault on another; stop a server."""
    faults = FAULTS if short else (*FAULTS, *LONG_FAULTS)
    chosen = [fault for fault in faults if not only or fault.name in only]
    if chosen:
        async with run_cluster(CONFIG) as cluster:
            for number, fault in enumerate(chosen):
                yield await run_trial(cluster, fault, fault.load or LOAD, seed=100 * number)
    if not short and (not only or ENGINE_FAULT.name in only):
        fetch_weights(REAL_CONFIG)
        async with run_cluster(REAL_CONFIG) as cluster:
            yield await run_trial(cluster, ENGINE_FAULT, REAL_LOAD, seed=1)
    if not short and (not only or server_stop.NAME in only):
        yield await server_stop.stop_while_streaming()


async def run(short: bool, only: Sequence[str]) -> list[Trial]:
    """Run the trials and print each as it ends."""
    trials = []
    async for trial in run_trials(short, only):
        console.print(trial.row(), trial.observation)
        for problem, times in Counter(trial.problems).items():
            repeated = f" ({times} times)" if times > 1 else ""
            console.print(f"[red]{trial.fault}[/]: {problem}{repeated}")
        trials.append(trial)
    return trials


def build_table(trials: list[Trial]) -> Table:
    """Build the table of all trials."""
    table = Table(*COLUMNS, title="faults under load")
    for trial in trials:
        cells = trial.row() | {
            "duplicated": trial.duplicated,
            "in flight": trial.in_flight,
            "observation": trial.observation,
        }
        table.add_row(*(str(cells[column]) for column in COLUMNS))
    return table


def merge_rows(trials: list[Trial], previous: Path | None) -> list[dict[str, object]]:
    """Replace the rows of these trials in a previous file, and keep its other rows."""
    rows: dict[object, dict[str, object]] = {}
    if previous and previous.exists():
        rows = {row["fault"]: row for row in json.loads(previous.read_bytes())}
    rows |= {trial.fault: trial.row() for trial in trials}
    return list(rows.values())


def main(
    short: Annotated[bool, typer.Option(help="only the faults that take four minutes")] = False,
    only: Annotated[list[str], typer.Option(help="name of a fault; may be repeated")] = [],  # noqa: B006
    out: Annotated[Path, typer.Option(help="JSON file")] = OUT,
) -> None:
    """Inject every fault under load. Exit status 1 if a request was lost, wrong or hung."""
    trials = asyncio.run(run(short, only))
    console.print(build_table(trials))
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = merge_rows(trials, out if only else None)
    out.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")
    raise typer.Exit(any(trial.problems for trial in trials))


if __name__ == "__main__":
    typer.run(main)
