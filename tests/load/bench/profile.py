"""`make profile`: CPU milliseconds of one streamed answer, by process and by cause.

closed loop of users, answers of 8, 32 and 64 tokens -> CPU of each process in a window
                                                     -> shares by cause, from py-spy's samples
-> least squares: a fixed part an answer, a part a chunk -> table, .bench/profile.json
"""

import os
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import typer
from pydantic import BaseModel, ConfigDict
from rich.table import Table

from load.bench.answer_cpu import CLIENT, Length, Times, measure
from load.harness.deployments import DETECTOR
from load.harness.graph import PORT, console, local_config, running_graph
from load.harness.process_stats import ENGINE, OTHER, REPLICA_KINDS, VLLM_SERVER
from serve.config import SCRIPTED, ScriptedConfig, ServeConfig

LENGTHS = (8, 32, 64)  # tokens of an answer
REFERENCE = 32  # the length that the goals are about
SHOWN_MS = 0.1  # a process that takes less has no column
# No part of the total.
UNCOUNTED = frozenset((ENGINE, REPLICA_KINDS[DETECTOR], OTHER, VLLM_SERVER, CLIENT))


class Cost(BaseModel):
    """CPU milliseconds of one answer: at the reference length, and what the fit makes of it."""

    model_config = ConfigDict(frozen=True)

    reference_ms: float
    fixed_ms: float
    per_event_ms: float

    @classmethod
    def fit(cls, events: Sequence[float], cpu_ms: Sequence[float], reference: int) -> Self:
        """Fit a straight line; `reference` is the index of the reference length."""
        slope, fixed = statistics.linear_regression(events, cpu_ms)
        return cls(reference_ms=cpu_ms[reference], fixed_ms=fixed, per_event_ms=slope)


NOTHING = Cost(reference_ms=0, fixed_ms=0, per_event_ms=0)


class Profile(BaseModel):
    """The whole profile. `total` leaves out the engine, the detector, and the client."""

    engine: str
    detector: bool
    users: int
    cores: int | None
    lengths: list[Length]
    total: Cost
    processes: dict[str, Cost]
    causes: dict[str, Cost]
    causes_by_process: dict[str, dict[str, Cost]]


def fitted(lengths: Sequence[Length], parts: Sequence[dict[str, float]]) -> dict[str, Cost]:
    """Fit every named part over the lengths, the most expensive first."""
    events, at = [one.events for one in lengths], [one.tokens for one in lengths].index(REFERENCE)
    names = {name for part in parts for name in part}
    costs = {name: Cost.fit(events, [part.get(name, 0.0) for part in parts], at) for name in names}
    return dict(sorted(costs.items(), key=lambda item: -item[1].reference_ms))


def summed(parts: Iterable[tuple[str, dict[str, float]]]) -> dict[str, float]:
    """Add up the causes of all processes that count."""
    found: Counter[str] = Counter()
    for kind, causes in parts:
        if kind not in UNCOUNTED:
            found.update(causes)
    return dict(found)


def profile_of(lengths: list[Length], engine: str, detector: bool, users: int) -> Profile:
    """Fit everything over the measured lengths."""
    totals = [
        {"total": sum(ms for kind, ms in one.cpu_ms.items() if kind not in UNCOUNTED)}
        for one in lengths
    ]
    kinds = {kind for one in lengths for kind in one.causes_ms}
    return Profile(
        engine=engine,
        detector=detector,
        users=users,
        cores=os.cpu_count(),
        lengths=lengths,
        total=fitted(lengths, totals)["total"],
        processes=fitted(lengths, [one.cpu_ms for one in lengths]),
        causes=fitted(lengths, [summed(one.causes_ms.items()) for one in lengths]),
        causes_by_process={
            kind: fitted(lengths, [one.causes_ms.get(kind, {}) for one in lengths])
            for kind in sorted(kinds)
        },
    )


def process_table(profile: Profile) -> Table:
    """Show each kind of process, and the total."""
    one = next(one for one in profile.lengths if one.tokens == REFERENCE)
    title = (
        f"CPU of one streamed answer, {profile.engine} engine, {profile.users} users,"
        f" {profile.cores} cores, {one.answers_per_s:.1f} answers/s of {REFERENCE} tokens,"
        f" {one.events:.0f} events each"
    )
    found = Table("ms", f"{REFERENCE} tokens", "fixed", "per chunk", "MiB", title=title)
    for name, cost in profile.processes.items():
        found.add_row(name, *_figures(cost), f"{one.memory_mib.get(name, 0):.0f}")
    found.add_section()
    counted = sum(mib for kind, mib in one.memory_mib.items() if kind not in UNCOUNTED)
    found.add_row(
        "total, without engine, detector, client", *_figures(profile.total), f"{counted:.0f}"
    )
    return found


def cause_table(profile: Profile) -> Table:
    """Show each cause: in all processes of the total, and at the reference length in each."""
    kinds = [
        kind
        for kind, cost in profile.processes.items()
        if kind in profile.causes_by_process and cost.reference_ms >= SHOWN_MS
    ]
    found = Table("ms", f"{REFERENCE} tokens", "fixed", "per chunk", *kinds, title="By cause")
    for cause, cost in profile.causes.items():
        shares = [profile.causes_by_process[kind].get(cause, NOTHING) for kind in kinds]
        found.add_row(cause, *_figures(cost), *(f"{share.reference_ms:.2f}" for share in shares))
    return found


def _figures(cost: Cost) -> tuple[str, str, str]:
    return f"{cost.reference_ms:.2f}", f"{cost.fixed_ms:.2f}", f"{cost.per_event_ms:.3f}"


def config_of(engine: str, detector: bool, token_s: float) -> ServeConfig:
    """Return the configuration that ships for this machine, or the scripted one.

    Without a detector no message is screened for harm.
    """
    config = local_config() if engine == "real" else SCRIPTED
    screening = {} if detector else {"harm": "off"}
    scripted = {"scripted": ScriptedConfig(token_s=token_s)}
    parts = {
        "detector": config.detector.model_copy(update=screening),
        "responder": config.responder.model_copy(update=scripted),
    }
    return config.model_copy(update=parts)


def main(
    engine: Annotated[Literal["scripted", "real"], typer.Option()] = "scripted",
    users: Annotated[int, typer.Option(min=1, help="users in the closed loop")] = 32,
    detector: Annotated[bool, typer.Option(help="detect the emotion of each message")] = True,
    causes: Annotated[bool, typer.Option(help="sample the stacks with py-spy")] = True,
    token_s: Annotated[float, typer.Option(help="seconds a token, scripted engine")] = 0.005,
    warm_s: float = 4,
    measure_s: Annotated[float, typer.Option(help="seconds of each length")] = 10,
    sample_s: Annotated[float, typer.Option(help="seconds of sampling of each length")] = 8,
    port: int = PORT,
    out: Path = Path(".bench/profile.json"),
) -> None:
    """Print where the CPU time of a streamed answer goes."""
    times = Times(warm_s, measure_s, sample_s if causes else 0)
    model = "auto" if detector else "joy"
    with running_graph(config_of(engine, detector, token_s), port) as graph:
        lengths = [measure(graph.url, tokens, users, model, times) for tokens in LENGTHS]
    profile = profile_of(lengths, engine, detector, users)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(profile.model_dump_json(indent=1) + "\n", "utf-8")
    console.print(process_table(profile))
    if causes:
        console.print(cause_table(profile))


if __name__ == "__main__":
    typer.run(main)
