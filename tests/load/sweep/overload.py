"""Overload test (`make overload`): the graph's goodput at four times its capacity.

closed loop -> capacity -> open loop at 0.5 to 4 times the capacity
-> one line for each rate, .bench/overload.json, exit status

The latency objective follows from Little's law for a full queue: admitted requests divided by the
capacity, plus a quarter.
"""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from load.harness.arrivals import Send, client_session, closed_loop, open_loop
from load.harness.client import send_request
from load.harness.graph import RunningGraph, console, local_config, running_graph
from load.harness.outcomes import Outcome, count_ends, goodput, percentile
from load.harness.reply_checks import accept_any, check_scripted_reply
from load.harness.workload import Request, synthetic_requests
from load.sweep.overload_result import OverloadResult, Step
from serve.capacity import derive_gates
from serve.config import SCRIPTED, ResponderConfig, ScriptedConfig, ServeConfig

RATES = (0.5, 0.75, 1.0, 1.25, 2.0, 4.0)  # as shares of the capacity
OBJECTIVE_SLACK = 1.25
TIMEOUT_S = 60.0
SCRIPTED_TOKEN_S = 0.05  # slow enough for a small client machine to overload the graph
SEED = 20
SETTLE_S = 1.0  # after the last reply, until every slot must be free again


@dataclass(frozen=True)
class Times:
    """Durations of one step."""

    warmup_s: float  # until the queue has the length that belongs to the rate
    measure_s: float


async def run_overload(graph: RunningGraph, config: ServeConfig, times: Times) -> OverloadResult:
    """Run the whole test on a running graph."""
    scripted = config.responder.kind == "scripted"
    check = check_scripted_reply if scripted else accept_any
    admitted = derive_gates(config).answers.admitted
    async with client_session() as session:

        async def send(request: Request) -> Outcome:
            return await send_request(session, graph.url, request, TIMEOUT_S, check)

        users = config.responder.hardware.max_num_seqs
        capacity = await _measure_capacity(send, users, times)
        bound_s = OBJECTIVE_SLACK * admitted / capacity
        steps = [await _run_step(send, rate * capacity, bound_s, times) for rate in RATES]
    await asyncio.sleep(SETTLE_S)
    repeated = {
        "offered",
        "goodput",
        "p99_accepted_s",
        "rejected",
        "rejected_without_retry_after",
    }
    return OverloadResult(
        engine=config.responder.kind,
        capacity=capacity,
        peak_goodput=max(step.goodput for step in steps),
        p99_bound_s=bound_s,
        left_running=await asyncio.to_thread(graph.count_running),
        steps=steps,
        **steps[-1].model_dump(include=repeated),
    )


async def _measure_capacity(send: Send, users: int, times: Times) -> float:
    """Measure correct replies per second with a full batch and no queue."""
    from_s = time.monotonic() + times.warmup_s
    duration_s = times.warmup_s + times.measure_s
    outcomes = await closed_loop(send, synthetic_requests(SEED), users, duration_s)
    return goodput(outcomes, lambda _outcome: True, from_s, from_s + times.measure_s)


async def _run_step(send: Send, rate_per_s: float, bound_s: float, times: Times) -> Step:
    from_s = time.monotonic() + times.warmup_s
    duration_s = times.warmup_s + times.measure_s
    requests = synthetic_requests(SEED)
    outcomes, lateness_s = await open_loop(send, requests, rate_per_s, duration_s, SEED)
    to_s = from_s + times.measure_s
    accepted_s = [outcome.total_s for outcome in outcomes if outcome.end == "ok"]
    rejected = [outcome for outcome in outcomes if outcome.end == "rejected"]
    step = Step(
        offered=rate_per_s,
        goodput=goodput(outcomes, lambda one: one.total_s <= bound_s, from_s, to_s),
        p50_accepted_s=percentile(accepted_s, 0.5),
        p99_accepted_s=percentile(accepted_s, 0.99),
        rejected=len(rejected),
        rejected_without_retry_after=sum(one.retry_after_s is None for one in rejected),
        ends=dict(count_ends(outcomes)),
        client_lateness_s=lateness_s,
    )
    console.print(step.describe())
    return step


def config_of(engine: str) -> ServeConfig:
    """Return the configuration for this machine, or a scripted graph that is easy to overload."""
    if engine == "vllm":
        return local_config()
    scripted = ScriptedConfig(token_s=SCRIPTED_TOKEN_S)
    responder = ResponderConfig(kind="scripted", scripted=scripted)
    return SCRIPTED.model_copy(update={"responder": responder})


def main(
    engine: Annotated[
        Literal["vllm", "scripted"], typer.Option(help="real models, or the deterministic engine")
    ] = "vllm",
    warmup_s: Annotated[float, typer.Option(help="seconds before each measurement")] = 15,
    measure_s: Annotated[float, typer.Option(help="measured seconds of each rate")] = 40,
    out: Annotated[Path, typer.Option(help="JSON file")] = Path(".bench/overload.json"),
) -> None:
    """Offer the graph four times its capacity. Exit status 1 if a promise was broken."""
    config = config_of(engine)
    with running_graph(config) as graph:
        result = asyncio.run(run_overload(graph, config, Times(warmup_s, measure_s)))
    out.parent.mkdir(exist_ok=True)
    out.write_text(result.model_dump_json(indent=1) + "\n", "utf-8")
    console.print(result.summary())
    failures = result.failures()
    for failure in failures:
        console.print(f"[red]{failure}[/]")
    raise typer.Exit(bool(failures))


if __name__ == "__main__":
    typer.run(main)
