"""Measures an arm: users who wait, from which follows what it can do, and then rates around that. Repeats are interleaved."""

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from load.harness.arrivals import Send, closed_loop, open_loop, session
from load.harness.graph import console
from load.harness.metrics import Mode, Objective, Run, Window, figures_of, is_saturated, personas_of, stages_of
from load.harness.outcomes import Outcome, counted
from load.harness.workload import varied
from load.sweep.arms import Arm

SEED = 5


@dataclass(frozen=True)
class Plan:
    """What is tried. Rates are shares of what the arm can do; times are seconds, and shorter for the arms that answer fast.

    A repeat is begun only if it is likely to end within `budget_s` of an arm's first request; the first is always made.
    """

    users: tuple[int, ...]
    rates: tuple[float, ...]
    repeats: int
    warm_s: float
    measure_s: float
    tail_s: float
    budget_s: float

    def shortened(self, share: float) -> "Plan":
        times = {"warm_s": self.warm_s * share, "measure_s": self.measure_s * share, "tail_s": self.tail_s * share}
        return replace(self, **times)


@dataclass
class Measured:
    """All of one arm: the figures of each run, and each request of all of them."""

    runs: list[Run]
    outcomes: list[Outcome]

    def capacity_per_s(self) -> float:
        """The greatest throughput of any number of users. Of tokens, where there are any: few answers end in a short window."""
        lengths = [one.completion_tokens for one in self.outcomes if one.completion_tokens]
        name, share = ("output_throughput", 1 / statistics.fmean(lengths)) if lengths else ("request_throughput", 1.0)
        return share * max(run.figures[name] for run in self.runs if run.mode == "concurrency")


async def measured(arm: Arm, plan: Plan, objective: Objective, rates_per_s: Sequence[float] | None = None) -> Measured:
    """The rates follow from what was reached with users, unless they are given: those of another arm, to stand beside it."""
    plan, found, began_s = plan.shortened(arm.share), Measured([], []), time.monotonic()
    async with session() as client:
        send = arm.sender(client)
        for repeat in range(plan.repeats):
            if repeat and (time.monotonic() - began_s) * (repeat + 1) / repeat > plan.budget_s:
                break
            for users in plan.users:
                await _run(arm, "concurrency", users, repeat, plan, objective, found, _with_users(send, users, plan))
            rates_per_s = rates_per_s or [float(f"{share * found.capacity_per_s():.3g}") for share in plan.rates]
            for rate in rates_per_s:
                await _run(arm, "rate", rate, repeat, plan, objective, found, _at_rate(send, rate, plan))
    return found


Load = Callable[[int], Awaitable[tuple[list[Outcome], float]]]


def _with_users(send: Send, users: int, plan: Plan) -> Load:
    async def load(seed: int) -> tuple[list[Outcome], float]:
        return await closed_loop(send, varied(seed), users, plan.warm_s + plan.measure_s), 0.0

    return load


def _at_rate(send: Send, rate: float, plan: Plan) -> Load:
    async def load(seed: int) -> tuple[list[Outcome], float]:
        return await open_loop(send, varied(seed), rate, plan.warm_s + plan.measure_s + plan.tail_s, seed)

    return load


async def _run(arm: Arm, mode: Mode, level: float, repeat: int, plan: Plan, objective: Objective, found: Measured, load: Load) -> None:
    """One level, once: asks, waits for all answers, and adds what came of it."""
    began_s, cpu_s = time.monotonic(), time.process_time()
    window = Window(from_s=began_s + plan.warm_s, to_s=began_s + plan.warm_s + plan.measure_s)
    outcomes, late_s = await load(SEED + 1000 * repeat + round(level * 100))
    cores = (time.process_time() - cpu_s) / (time.monotonic() - began_s)
    began = window.began(outcomes)
    run = Run(
        arm=arm.name,
        mode=mode,
        level=level,
        repeat=repeat,
        figures=figures_of(outcomes, window, objective, late_s, cores),
        ends=dict(counted(began)),
        stages_ms=stages_of(began),
        personas=personas_of(began),
    )
    found.runs.append(run)
    found.outcomes += outcomes
    console.print(_row(run))


def _row(run: Run) -> str:
    named = {key: run.figures.get(key, float("nan")) for key in ("request_throughput", "output_throughput", "p50_ttft_ms", "p99_ttft_ms")}
    seen = "{request_throughput:7.2f} req/s {output_throughput:7.1f} tok/s  TTFT p50 {p50_ttft_ms:8.1f} p99 {p99_ttft_ms:8.1f} ms"
    ends = ", ".join(f"{count} {end}" for end, count in run.ends.items() if count)
    level = f"{run.level:g}/s" if run.mode == "rate" else f"{run.level:g} users"
    met = run.figures.get("slo_attainment", 0)
    warning = "  (the client is saturated)" if is_saturated(run.figures) else ""
    return f"{run.arm:9} {level:>12}  {seen.format(**named)}  met {met:.0%}  {ends}{warning}"
