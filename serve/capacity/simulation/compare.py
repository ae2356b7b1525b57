"""Compares the policy with Ray's default and with a static fleet, on each trace.

The static fleet is the smallest that keeps the objective; where none does, nothing is compared with
it. Ray's default has the target of ongoing requests with which it uses about as many GPU hours as
the policy, which no operator could know.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from serve.capacity.hardware import Hardware
from serve.capacity.policy import Policy
from serve.capacity.settings import Settings
from serve.capacity.simulation.controllers import Controller, QueueLength, Static
from serve.capacity.simulation.fleet import Bounds, Fleet, Outcome
from serve.capacity.simulation.traces import Request, Trace

SEARCH_STEPS = 6  # of the target of Ray's default
EQUAL_HOURS = 0.03  # a larger difference is shown


@dataclass(frozen=True, slots=True)
class Workload:
    """Load and limits that all traces share.

    Attributes:
        prompt: mean tokens to read.
        answer: mean tokens to write.
    """

    peak_per_s: float = 22.5
    prompt: float = 60
    answer: float = 100
    slo_ttft_ms: float = 1000
    maximum: int = 12
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Outcomes on one trace.

    Attributes:
        static_size: replicas of the static fleet; None if the largest misses the objective too.
        target: ongoing requests of a replica that Ray's default aims at.
    """

    trace: Trace
    policy: Outcome
    static: Outcome
    static_size: int | None
    default: Outcome
    target: float


class Comparer:
    """Runs controllers on the same requests of one trace."""

    def __init__(self, trace: Trace, hardware: Hardware, workload: Workload) -> None:
        """Draw the requests."""
        self._trace = trace
        self._hardware = hardware
        self._workload = workload
        self._requests: list[Request] = list(
            trace.requests(workload.peak_per_s, workload.prompt, workload.answer, workload.seed)
        )

    def compare(self, settings: Settings) -> Comparison:
        """Return the outcomes of the policy and of its rivals."""
        maximum = self._workload.maximum
        policy = self.run(lambda: Policy(settings), Bounds(1, maximum))
        size, static = self._smallest_static()
        target, default = self._default_of_equal_hours(policy.gpu_s)
        return Comparison(self._trace, policy, static, size, default, target)

    def run(self, controller: Callable[[], Controller], bounds: Bounds) -> Outcome:
        """Return the outcome of one controller."""
        fleet = Fleet(self._hardware, controller(), bounds)
        return fleet.run(self._requests, self._trace.duration_s)

    def _smallest_static(self) -> tuple[int | None, Outcome]:
        """Return the smallest fleet that keeps the objective, by bisection, or None of a size."""
        low, high = 1, self._workload.maximum
        best = self._static(high)
        if not self._keeps(best):
            return None, best
        while low < high:
            middle = (low + high) // 2
            outcome = self._static(middle)
            if self._keeps(outcome):
                high, best = middle, outcome
            else:
                low = middle + 1
        return high, best

    def _keeps(self, outcome: Outcome) -> bool:
        return outcome.ttft_p95_ms() <= self._workload.slo_ttft_ms

    def _static(self, size: int) -> Outcome:
        return self.run(lambda: Static(size), Bounds(size, size))

    def _default_of_equal_hours(self, gpu_s: float) -> tuple[float, Outcome]:
        bounds = Bounds(1, self._workload.maximum)
        low, high = 1.0, float(self._hardware.slots)
        outcomes: list[tuple[float, float, Outcome]] = []
        for _ in range(SEARCH_STEPS):
            target = (low + high) / 2
            outcome = self.run(lambda target=target: QueueLength(target), bounds)  # type: ignore[misc]
            outcomes.append((abs(outcome.gpu_s / gpu_s - 1), target, outcome))
            if outcomes[-1][0] <= EQUAL_HOURS:
                break
            low, high = (target, high) if outcome.gpu_s > gpu_s else (low, target)
        _, target, outcome = min(outcomes, key=lambda each: each[0])
        return target, outcome


def table(comparisons: list[Comparison], slo_ttft_ms: float) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield "| trace | fleet | replica hours | of static | TTFT p95 | violations | rejected |"
    yield "|---|---|---|---|---|---|---|"
    for each in comparisons:
        for name, outcome in _rows(each).items():
            ratio = f"{outcome.gpu_s / each.static.gpu_s:.2f}" if each.static_size else "-"
            yield (
                f"| {each.trace.name} | {name} | {outcome.gpu_s / 3600:.2f} | {ratio}"
                f" | {outcome.ttft_p95_ms():,.0f} ms"
                f" | {outcome.violations(slo_ttft_ms):.2%} | {outcome.rejected:,} |"
            )


def _rows(found: Comparison) -> dict[str, Outcome]:
    """Return the names of the three fleets, with what must be known to compare them."""
    size = found.static_size
    static = f"static, {size}" if size else "static, the largest: it misses the objective too"
    more = found.default.gpu_s / found.policy.gpu_s - 1
    unequal = f" ({more:+.0%} hours)" if abs(more) > EQUAL_HOURS else ""
    return {
        "policy": found.policy,
        static: found.static,
        f"Ray's default, target {found.target:.3g}{unequal}": found.default,
    }
