"""`make overload`: what the graph still achieves when it is offered four times what it can do.

closed loop -> capacity -> open loop at 0.5 to 4 times the capacity -> a line each, .bench/overload.json, exit status

The objective of an answer is that it takes no longer than Little's law says of a full house: places over capacity, and a quarter more.
"""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import BaseModel

from load.harness.arrivals import Send, closed_loop, open_loop, session
from load.harness.client import anything, as_scripted, ask
from load.harness.graph import LOCAL, Running, console, running
from load.harness.outcomes import Outcome, counted, goodput, percentile
from load.harness.workload import Asked, mixed
from serve.capacity import derive_gates
from serve.cli.config_file import read_config
from serve.config import SCRIPTED, ResponderConfig, ServeConfig

RATES = (0.5, 0.75, 1.0, 1.25, 2.0, 4.0)  # of capacity
KEPT = 0.9  # of the peak's goodput, at the last rate
SLACK = 1.25
TIMEOUT_S = 60.0
SCRIPTED_TOKEN_S = 0.05
SEED = 20
LATE_S = 1.0  # a client that is later than that did not offer what it says
FREE_S = 1.0  # after the last answer, in which everything must be free again


class Step(BaseModel):
    """What came of one rate. Rates are requests a second, times seconds."""

    offered: float
    goodput: float
    p50_accepted_s: float
    p99_accepted_s: float
    refused: int
    refused_without_retry_after: int
    ends: dict[str, int]
    client_late_s: float


class Overload(BaseModel):
    """The whole test; the fields of the last step stand at the top."""

    engine: str
    capacity: float
    offered: float
    goodput: float
    peak_goodput: float
    p99_accepted_s: float
    p99_bound_s: float
    refused: int
    refused_without_retry_after: int
    left_running: int
    steps: list[Step]

    def summary(self) -> str:
        """One line for people."""
        return (
            f"capacity {self.capacity:.2f}/s, offered {self.offered:.2f}/s:"
            f" goodput {self.goodput:.2f}/s of at most {self.peak_goodput:.2f}/s,"
            f" p99 {self.p99_accepted_s:.2f} s (bound {self.p99_bound_s:.2f} s), {self.refused} refused,"
            f" {self.refused_without_retry_after} of them without Retry-After, {self.left_running} left running"
        )

    def failures(self) -> list[str]:
        """What was promised and not kept."""
        bad = sum(step.ends[end] for step in self.steps for end in ("failed_explicitly", "lost", "wrong", "hung"))
        late_s = max(step.client_late_s for step in self.steps)
        broken = {
            f"goodput {self.goodput:.2f}/s is below {KEPT:.0%} of its peak {self.peak_goodput:.2f}/s": self.goodput
            < KEPT * self.peak_goodput,
            f"p99 {self.p99_accepted_s:.2f} s is over {self.p99_bound_s:.2f} s": self.p99_accepted_s > self.p99_bound_s,
            f"{self.refused_without_retry_after} were refused without Retry-After": self.refused_without_retry_after > 0,
            f"{self.left_running} answers are still generated": self.left_running > 0,
            f"the client itself was {late_s:.1f} s late": late_s > LATE_S,
            f"{bad} requests failed, were lost, wrong or hung": bad > 0,
            "nothing was refused": not self.refused,
        }
        return [what for what, is_broken in broken.items() if is_broken]


@dataclass(frozen=True)
class Times:
    """How long is measured, and how long is waited before so that the queue is what the rate makes of it."""

    warm_s: float
    measure_s: float


async def overload(graph: Running, config: ServeConfig, times: Times) -> Overload:
    """The whole test on a running graph."""
    check = as_scripted if config.responder.kind == "scripted" else anything
    places = derive_gates(config).answers[0]
    async with session() as client:

        async def send(asked: Asked) -> Outcome:
            return await ask(client, graph.url, asked, TIMEOUT_S, check)

        capacity = await _capacity(send, config.responder.hardware.max_num_seqs, times)
        bound_s = SLACK * places / capacity
        steps = [await _step(send, rate * capacity, bound_s, times) for rate in RATES]
    await asyncio.sleep(FREE_S)
    last = steps[-1]
    return Overload(
        engine=config.responder.kind,
        capacity=capacity,
        peak_goodput=max(step.goodput for step in steps),
        p99_bound_s=bound_s,
        left_running=await asyncio.to_thread(graph.running),
        steps=steps,
        **last.model_dump(include={"offered", "goodput", "p99_accepted_s", "refused", "refused_without_retry_after"}),
    )


async def _capacity(send: Send, users: int, times: Times) -> float:
    """Right answers a second when every place of the batch is taken and nobody waits."""
    began_s = time.monotonic() + times.warm_s
    outcomes = await closed_loop(send, mixed(SEED), users, times.warm_s + times.measure_s)
    return goodput(outcomes, _any, began_s, began_s + times.measure_s)


async def _step(send: Send, rate_per_s: float, bound_s: float, times: Times) -> Step:
    """One offered rate, after a while in which the queue becomes what the rate makes of it."""
    began_s = time.monotonic() + times.warm_s
    outcomes, late_s = await open_loop(send, mixed(SEED), rate_per_s, times.warm_s + times.measure_s, SEED)
    accepted_s = [one.total_s for one in outcomes if one.end == "ok"]
    refused = [one for one in outcomes if one.end == "refused"]
    step = Step(
        offered=rate_per_s,
        goodput=goodput(outcomes, lambda one: one.total_s <= bound_s, began_s, began_s + times.measure_s),
        p50_accepted_s=percentile(accepted_s, 0.5),
        p99_accepted_s=percentile(accepted_s, 0.99),
        refused=len(refused),
        refused_without_retry_after=sum(one.retry_after_s is None for one in refused),
        ends=dict(counted(outcomes)),
        client_late_s=late_s,
    )
    console.print(_row(step))
    return step


def _any(_one: Outcome) -> bool:
    return True


def _row(step: Step) -> str:
    ends = ", ".join(f"{count} {end}" for end, count in step.ends.items() if count)
    return (
        f"offered {step.offered:7.2f}/s  goodput {step.goodput:7.2f}/s  p50 {step.p50_accepted_s:6.2f} s  p99 {step.p99_accepted_s:6.2f} s"
        f"  {ends}  (client late by {step.client_late_s * 1000:.0f} ms at most)"
    )


def config_of(engine: str) -> ServeConfig:
    """What ships for this machine, or the scripted graph at a pace that a small machine can overload."""
    if engine == "vllm":
        return read_config(LOCAL)
    return SCRIPTED.model_copy(update={"responder": ResponderConfig(kind="scripted", scripted_token_s=SCRIPTED_TOKEN_S)})


def main(
    engine: Annotated[Literal["vllm", "scripted"], typer.Option(help="the models that ship, or the deterministic engine")] = "vllm",
    warm_s: Annotated[float, typer.Option(help="before each measurement, in seconds")] = 15,
    measure_s: Annotated[float, typer.Option(help="of each rate, in seconds")] = 40,
    out: Path = Path(".bench/overload.json"),
) -> None:
    """Offer the graph four times what it can do, and say what came of it."""
    config = config_of(engine)
    with running(config) as graph:
        result = asyncio.run(overload(graph, config, Times(warm_s, measure_s)))
    out.parent.mkdir(exist_ok=True)
    out.write_text(result.model_dump_json(indent=1) + "\n", "utf-8")
    console.print(result.summary())
    for failure in result.failures():
        console.print(f"[red]{failure}[/]")
    raise typer.Exit(bool(result.failures()))


if __name__ == "__main__":
    typer.run(main)
