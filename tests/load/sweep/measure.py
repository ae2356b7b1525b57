"""Measurement of one arm: users who wait give its capacity, and rates around it follow."""

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from load.harness.arrivals import Send, client_session, closed_loop, open_loop
from load.harness.graph import console
from load.harness.metrics import is_saturated, persona_latencies, phase_latencies, run_metrics
from load.harness.outcomes import Outcome, count_ends
from load.harness.runs import Mode, Objective, Run, Window
from load.harness.workload import realistic_requests
from load.sweep.arms import Arm
from load.sweep.plan import Plan

SEED = 5
# Generates the load of one run from a seed; returns the outcomes and the client's lateness in s.
Generate = Callable[[int], Awaitable[tuple[list[Outcome], float]]]


@dataclass
class Measurement:
    """Runs and requests of one arm."""

    runs: list[Run] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def capacity_per_s(self) -> float:
        """Compute the highest throughput of any number of users, in requests per second.

        It follows from the tokens if there are any, since few replies end in a short window.
        """
        runs = [run for run in self.runs if run.mode == "concurrency"]
        lengths = [one.completion_tokens for one in self.outcomes if one.completion_tokens]
        if not lengths:
            return max(run.metrics["request_throughput"] for run in runs)
        return max(run.metrics["output_throughput"] for run in runs) / statistics.fmean(lengths)


@dataclass(frozen=True)
class _Level:
    """One level of one arm, and the repeat that is measured."""

    arm: Arm
    mode: Mode
    value: float
    repeat: int

    def seed(self) -> int:
        return SEED + 1000 * self.repeat + round(self.value * 100)


async def measure_arm(
    arm: Arm, plan: Plan, objective: Objective, rates_per_s: Sequence[float] | None = None
) -> Measurement:
    """Measure all levels of an arm; repeats are interleaved.

    Args:
        arm: The arm.
        plan: Levels and durations.
        objective: Limits that a good reply keeps.
        rates_per_s: Rates of another arm to compare with; default: shares of this arm's capacity.
    """
    plan = plan.shortened(arm.duration_share)
    measurement = Measurement()
    started_s = time.monotonic()
    async with client_session() as session:
        send = arm.make_send(session)
        for repeat in range(plan.repeats):
            if repeat and (time.monotonic() - started_s) * (repeat + 1) / repeat > plan.budget_s:
                break
            for users in plan.users:
                level = _Level(arm, "concurrency", users, repeat)
                await _measure(level, plan, objective, measurement, _users(send, users, plan))
            rates_per_s = rates_per_s or _rates(measurement, plan)
            for rate in rates_per_s:
                level = _Level(arm, "rate", rate, repeat)
                await _measure(level, plan, objective, measurement, _arrivals(send, rate, plan))
    return measurement


def _rates(measurement: Measurement, plan: Plan) -> list[float]:
    """Round the rates to three digits."""
    return [float(f"{share * measurement.capacity_per_s():.3g}") for share in plan.rates]


def _users(send: Send, users: int, plan: Plan) -> Generate:
    async def generate(seed: int) -> tuple[list[Outcome], float]:
        duration_s = plan.warmup_s + plan.measure_s
        return await closed_loop(send, realistic_requests(seed), users, duration_s), 0.0

    return generate


def _arrivals(send: Send, rate_per_s: float, plan: Plan) -> Generate:
    async def generate(seed: int) -> tuple[list[Outcome], float]:
        duration_s = plan.warmup_s + plan.measure_s + plan.tail_s
        return await open_loop(send, realistic_requests(seed), rate_per_s, duration_s, seed)

    return generate


async def _measure(
    level: _Level, plan: Plan, objective: Objective, measurement: Measurement, generate: Generate
) -> None:
    """Generate the load, wait for all replies, and add the run to the measurement."""
    started_s = time.monotonic()
    cpu_s = time.process_time()
    window_from_s = started_s + plan.warmup_s
    window = Window(from_s=window_from_s, to_s=window_from_s + plan.measure_s)
    outcomes, lateness_s = await generate(level.seed())
    client_cores = (time.process_time() - cpu_s) / (time.monotonic() - started_s)
    in_window = window.started(outcomes)
    run = Run(
        arm=level.arm.name,
        mode=level.mode,
        level=level.value,
        repeat=level.repeat,
        metrics=run_metrics(outcomes, window, objective, lateness_s, client_cores),
        ends=dict(count_ends(in_window)),
        phases_ms=phase_latencies(in_window),
        personas=persona_latencies(in_window),
    )
    measurement.runs.append(run)
    measurement.outcomes += outcomes
    console.print(describe_run(run))


def describe_run(run: Run) -> str:
    """Format a run as one line."""

    def value(name: str) -> float:
        return run.metrics.get(name, float("nan"))

    level = f"{run.level:g}/s" if run.mode == "rate" else f"{run.level:g} users"
    ends = ", ".join(f"{count} {end}" for end, count in run.ends.items() if count)
    warning = "  (the client is saturated)" if is_saturated(run.metrics) else ""
    return (
        f"{run.arm:9} {level:>12}  {value('request_throughput'):7.2f} req/s"
        f" {value('output_throughput'):7.1f} tok/s"
        f"  TTFT p50 {value('p50_ttft_ms'):8.1f} p99 {value('p99_ttft_ms'):8.1f} ms"
        f"  met {run.metrics.get('slo_attainment', 0):.0%}  {ends}{warning}"
    )
