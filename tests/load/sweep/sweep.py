"""`make load`: how fast, how much, and whether it was right, over rates and numbers of users, beside bare vLLM and the graph alone.

server -> idle answers -> users who wait -> what it can do -> Poisson rates -> each text detected alone -> JSON and a page

PYTHONPATH=tests .venv/bin/python -m load.sweep.sweep [--engine scripted] [--arms graph,bare] [--short]
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

from load.harness.arrivals import session
from load.harness.graph import LOCAL, PORT, console
from load.harness.metrics import Objective, is_saturated
from load.harness.sampler import Sample, Sampler, no_replicas, replicas
from load.harness.workload import INPUT_LENGTHS, OUTPUT_LENGTHS
from load.sweep.arms import ARMS, Arm, ArmName, servers, started
from load.sweep.correctness import Reference, Score, detected_alone, references, scored
from load.sweep.knee import knees_of, points_of
from load.sweep.measure import SEED, Measured, Plan, measured
from load.sweep.report import write_page
from load.sweep.result import ArmResult, LoadResult, Settings
from serve.cli.config_file import read_config
from serve.config import SCRIPTED, ServeConfig

OUT = Path(__file__).parents[3] / ".bench" / "load.json"
FULL = Plan(users=(1, 8, 32), rates=(0.5, 0.75, 0.9, 1.2), repeats=2, warm_s=4, measure_s=8, tail_s=2, budget_s=270)
SHORT = Plan(users=(1, 8), rates=(0.5, 1.5), repeats=1, warm_s=0.5, measure_s=1.5, tail_s=0.5, budget_s=60)
FAST_SHARE = 0.25  # of the times above, for what answers within milliseconds
ANSWER = Objective(ttft_ms=1000, tpot_ms=200)  # a second to the first word, then about as fast as people read
DETECTION = Objective(ttft_ms=100, tpot_ms=0)


def run(config: ServeConfig, arms: tuple[ArmName, ...], plan: Plan, log: Path, port: int = PORT) -> LoadResult:
    """All arms, one server after the other."""
    began_s, found, idle = time.monotonic(), list[ArmResult](), list[Reference]()
    for names in servers(arms):
        with started(names, config, FAST_SHARE, log, port) as server:
            for arm in server:
                beside = next((each for each in found if each.name == "graph"), None) if arm.name == "bare" else None
                idle, result = asyncio.run(_arm(arm, plan, beside, idle))
                found.append(result)
    runs = [each for arm in found for each in arm.runs]
    points = points_of(runs)
    return LoadResult(
        settings=_settings(config, plan), took_s=time.monotonic() - began_s, arms=found, points=points, knees=knees_of(points)
    )


async def _arm(arm: Arm, plan: Plan, beside: ArmResult | None, idle: list[Reference]) -> tuple[list[Reference], ArmResult]:
    """One arm, watched. The idle answers of the graph serve for `vllm serve` too: same weights, same prompts."""
    async with session() as client:
        if arm.name in {"graph", "no-op"}:
            idle = await references(arm.sender(client), console.print)
    with Sampler(no_replicas if arm.name == "bare" else replicas) as sampler:
        found = await measured(arm, plan, DETECTION if arm.name == "detector" else ANSWER, beside.rates() if beside else None)
    return idle, _result(arm, found, await _score(arm, found, idle), sampler.samples)


async def _score(arm: Arm, found: Measured, idle: list[Reference]) -> Score:
    async with session() as client:
        alone = {} if arm.name == "bare" else await detected_alone(client, arm.url, found.outcomes)
    return scored(found.outcomes, alone, [] if arm.name == "detector" else idle)


def _result(arm: Arm, found: Measured, score: Score, samples: list[Sample]) -> ArmResult:
    saturated = [f"{run.level:g} {run.mode}" for run in found.runs if is_saturated(run.figures)]
    read = [one.prompt_tokens for one in found.outcomes if one.prompt_tokens]
    written = [one.completion_tokens for one in found.outcomes if one.completion_tokens]
    return ArmResult(
        name=arm.name, runs=found.runs, score=score, samples=samples, client_saturated=saturated, input_tokens=read, output_tokens=written
    )


def _settings(config: ServeConfig, plan: Plan) -> Settings:
    return Settings(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        versions={name: version(name) for name in ("ray", "torch", "transformers")} | {"python": platform.python_version()},
        engine=config.responder.kind,
        seed=SEED,
        input_lengths=INPUT_LENGTHS,
        output_lengths=OUTPUT_LENGTHS,
        objective=ANSWER,
        detection=DETECTION,
        plan=plan,
        config=config.model_dump(mode="json"),
    )


def main(
    engine: Annotated[Literal["vllm", "scripted"], typer.Option(help="the models that ship, or the deterministic engine")] = "vllm",
    arms: Annotated[str, typer.Option(help="which are asked, with commas")] = ",".join(ARMS),
    short: Annotated[bool, typer.Option(help="a few seconds a level, to see that it runs")] = False,
    repeats: Annotated[int | None, typer.Option(min=1, help="of each level")] = None,
    measure_s: Annotated[float | None, typer.Option(help="of each level, in seconds")] = None,
    port: Annotated[int, typer.Option(help="of the graph; `vllm serve` takes the next one")] = PORT,
    out: Annotated[Path, typer.Option(help="the JSON file; the page stands beside it")] = OUT,
) -> None:
    """Sweep rates and numbers of users over the arms."""
    plan = SHORT if short else FULL
    plan = replace(plan, repeats=repeats or plan.repeats, measure_s=measure_s or plan.measure_s)
    asked = _names(arms, engine)
    out.parent.mkdir(parents=True, exist_ok=True)
    result = run(read_config(LOCAL) if engine == "vllm" else SCRIPTED, asked, plan, out.with_suffix(".log"), port)
    result.write(out)
    console.print(f"{result.summary()}\n{write_page(result, out.with_suffix('.html'))}")


def _names(arms: str, engine: str) -> tuple[ArmName, ...]:
    """A scripted engine has no `vllm serve` to stand beside."""
    names = arms.split(",")
    unknown = [name for name in names if name not in ARMS]
    if unknown:
        raise typer.BadParameter(f"there is no arm {unknown[0]}; there are {', '.join(ARMS)}")
    return tuple(name for name in ARMS if name in names and (engine == "vllm" or name != "bare"))


if __name__ == "__main__":
    typer.run(main)
