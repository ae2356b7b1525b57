"""Load test (`make load`): speed, throughput and correctness over rates and numbers of users.

The graph is compared with `vllm serve`, with its detector alone, and with a graph without work.

server -> references of the idle server -> users -> capacity -> Poisson rates
-> each text classified again -> JSON and a page

PYTHONPATH=tests .venv/bin/python -m load.sweep.sweep [--engine scripted] [--short]
    [--arms graph,vllm]
"""

import asyncio
import os
import platform
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import typer

from load.harness.arrivals import client_session
from load.harness.graph import PORT, console, local_config
from load.harness.metrics import is_saturated
from load.harness.runs import Objective
from load.harness.sampler import Sample, Sampler, no_replicas, running_replicas
from load.harness.workload import INPUT_LENGTHS, OUTPUT_LENGTHS
from load.sweep.arms import ARMS, Arm, ArmName, running_arms, server_groups
from load.sweep.correctness import (
    Reference,
    Score,
    classify_again,
    collect_references,
    score_outcomes,
)
from load.sweep.knee import aggregate_runs, find_knees
from load.sweep.measure import SEED, Measurement, measure_arm
from load.sweep.plan import FULL, SHORT, Plan
from load.sweep.report import write_page
from load.sweep.result import ArmResult, LoadResult, Settings
from serve.config import SCRIPTED, ServeConfig

OUT = Path(__file__).parents[3] / ".bench" / "load.json"
FAST_SHARE = 0.25  # of the durations above, for arms that reply within milliseconds
REPLY = Objective(ttft_ms=1000, tpot_ms=200)  # a second to the first token, then reading speed
DETECTION = Objective(ttft_ms=100, tpot_ms=0)


def run(
    config: ServeConfig, arms: tuple[ArmName, ...], plan: Plan, log: Path, port: int = PORT
) -> LoadResult:
    """Measure all arms, one server after the other."""
    started_s = time.monotonic()
    results: list[ArmResult] = []
    references: list[Reference] = []
    for names in server_groups(arms):
        with running_arms(names, config, FAST_SHARE, log, port) as group:
            for arm in group:
                graph = next((each for each in results if each.name == "graph"), None)
                rates = graph.rates() if graph and arm.name == "vllm" else None
                references, result = asyncio.run(_run_arm(arm, plan, rates, references))
                results.append(result)
    points = aggregate_runs([each for result in results for each in result.runs])
    return LoadResult(
        settings=_settings(config, plan),
        took_s=time.monotonic() - started_s,
        arms=results,
        points=points,
        knees=find_knees(points),
    )


async def _run_arm(
    arm: Arm, plan: Plan, rates_per_s: list[float] | None, references: list[Reference]
) -> tuple[list[Reference], ArmResult]:
    """Measure one arm.

    The graph's references serve for `vllm serve` too: it has the same weights and prompts.
    """
    async with client_session() as session:
        if arm.name in {"graph", "no-op"}:
            references = await collect_references(arm.make_send(session), console.print)
    objective = DETECTION if arm.name == "detector" else REPLY
    with Sampler(no_replicas if arm.name == "vllm" else running_replicas) as sampler:
        measurement = await measure_arm(arm, plan, objective, rates_per_s)
    score = await _score(arm, measurement, references)
    return references, _arm_result(arm, measurement, score, sampler.samples)


async def _score(arm: Arm, measurement: Measurement, references: list[Reference]) -> Score:
    outcomes = measurement.outcomes
    if arm.name == "vllm":
        return score_outcomes(outcomes, {}, references)
    async with client_session() as session:
        emotions = await classify_again(session, arm.url, outcomes)
    return score_outcomes(outcomes, emotions, [] if arm.name == "detector" else references)


def _arm_result(
    arm: Arm, measurement: Measurement, score: Score, samples: list[Sample]
) -> ArmResult:
    outcomes = measurement.outcomes
    return ArmResult(
        name=arm.name,
        runs=measurement.runs,
        score=score,
        samples=samples,
        client_saturated=[
            f"{run.level:g} {run.mode}" for run in measurement.runs if is_saturated(run.metrics)
        ],
        input_tokens=[one.prompt_tokens for one in outcomes if one.prompt_tokens],
        output_tokens=[one.completion_tokens for one in outcomes if one.completion_tokens],
    )


def _settings(config: ServeConfig, plan: Plan) -> Settings:
    versions = {name: version(name) for name in ("ray", "torch", "transformers")}
    return Settings(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        versions=versions | {"python": platform.python_version()},
        engine=config.responder.kind,
        seed=SEED,
        input_lengths=INPUT_LENGTHS,
        output_lengths=OUTPUT_LENGTHS,
        objective=REPLY,
        detection=DETECTION,
        plan=plan,
        config=config.model_dump(mode="json"),
    )


def main(
    engine: Annotated[
        Literal["vllm", "scripted"], typer.Option(help="real models, or the deterministic engine")
    ] = "vllm",
    arms: Annotated[str, typer.Option(help="arms, separated by commas")] = ",".join(ARMS),
    short: Annotated[bool, typer.Option(help="a few seconds per level, as a smoke test")] = False,
    repeats: Annotated[int | None, typer.Option(min=1, help="repeats of each level")] = None,
    measure_s: Annotated[float | None, typer.Option(help="measured seconds of each level")] = None,
    port: Annotated[int, typer.Option(help="of the graph; `vllm serve` takes the next")] = PORT,
    out: Annotated[Path, typer.Option(help="JSON file; the page is written next to it")] = OUT,
) -> None:
    """Sweep rates and numbers of users over the arms."""
    plan = SHORT if short else FULL
    plan = replace(plan, repeats=repeats or plan.repeats, measure_s=measure_s or plan.measure_s)
    names = _parse_arms(arms, engine)
    out.parent.mkdir(parents=True, exist_ok=True)
    config = local_config() if engine == "vllm" else SCRIPTED
    result = run(config, names, plan, out.with_suffix(".log"), port)
    result.write(out)
    console.print(f"{result.summary()}\n{write_page(result, out.with_suffix('.html'))}")


def _parse_arms(arms: str, engine: str) -> tuple[ArmName, ...]:
    """Parse the list of arms; the scripted engine has no `vllm serve` as a peer."""
    names = arms.split(",")
    unknown = [name for name in names if name not in ARMS]
    if unknown:
        raise typer.BadParameter(f"unknown arm {unknown[0]!r}; choose from {', '.join(ARMS)}")
    return tuple(name for name in ARMS if name in names and (engine == "vllm" or name != "vllm"))


if __name__ == "__main__":
    typer.run(main)
