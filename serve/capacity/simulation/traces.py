"""Arrivals of requests over time: three shapes, and sizes of messages as in public chat traces.

Public traces of LLM services (Azure's, BurstGPT) show a daily wave of about 1:6, bursts within
minutes, short prompts and answers of log-normal length. The shapes here have these properties; none
of their data is used.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from serve.errors import ConfigError

BURST_S = 30.0
BURST_SIGMA = 0.15  # spread of the rate between half minutes
MOST_REQUESTS = 2_000_000  # of one trace: more take gigabytes of memory


@dataclass(frozen=True, slots=True)
class Request:
    """One message.

    Attributes:
        time_s: when it arrives.
        prompt: tokens to read.
        answer: tokens to write.
    """

    time_s: float
    prompt: int
    answer: int


@dataclass(frozen=True, slots=True)
class Trace:
    """Rate over time.

    Attributes:
        shape: rate at a time, as a share of the peak, 0 to 1.
        about: the shape in words.
    """

    name: str
    about: str
    duration_s: float
    shape: Callable[[float], float]

    def check(self, peak_per_s: float) -> None:
        """Raise ConfigError if the trace has too many requests to simulate."""
        seconds = range(int(self.duration_s))
        number = peak_per_s * sum(self.shape(float(second)) for second in seconds)
        if number > MOST_REQUESTS:
            peak = MOST_REQUESTS / number * peak_per_s
            raise ConfigError(
                f"{self.name} would have {number:,.0f} requests at a peak of {peak_per_s:,.0f} a"
                f" second; expected at most {MOST_REQUESTS:,}: choose a --peak of {peak:,.0f} or"
                " less, and a hardware profile of a smaller replica"
            )

    def requests(
        self, peak_per_s: float, prompt: float, answer: float, seed: int = 0
    ) -> Iterator[Request]:
        """Yield requests in order of time. `prompt` and `answer` are mean numbers of tokens."""
        chance = random.Random(seed)
        bursts = [
            math.exp(chance.gauss(0, BURST_SIGMA))
            for _ in range(int(self.duration_s / BURST_S) + 1)
        ]
        highest = peak_per_s * max(bursts)
        time_s = chance.expovariate(highest)
        while time_s < self.duration_s:
            burst = bursts[int(time_s / BURST_S)]
            if chance.random() * highest < peak_per_s * self.shape(time_s) * burst:
                yield Request(time_s, _tokens(chance, prompt), _tokens(chance, answer))
            time_s += chance.expovariate(highest)


def _tokens(chance: random.Random, mean: float, sigma: float = 0.6) -> int:
    return max(round(chance.lognormvariate(math.log(mean) - sigma**2 / 2, sigma)), 1)


def _diurnal(time_s: float, day_s: float = 7200, lowest: float = 1 / 6) -> float:
    return lowest + (1 - lowest) * (1 - math.cos(2 * math.pi * time_s / day_s)) / 2


def _flash(time_s: float, start_s: float = 1200, rise_s: float = 120, last_s: float = 600) -> float:
    base = 0.2
    if time_s < start_s or time_s > start_s + rise_s + last_s:
        return base
    return base + (1 - base) * min((time_s - start_s) / rise_s, 1)


def _ramps(time_s: float, period_s: float = 1200) -> float:
    """Return a saw: up in 12 minutes, down at once, with a pause at the bottom."""
    part = time_s % period_s / period_s
    return 0.15 + 0.85 * min(part / 0.6, 1) if part < 0.75 else 0.15


TRACES = (
    Trace("diurnal", "a day of 1:6 in two hours, twelve times as fast as life", 7200, _diurnal),
    Trace("flash", "five times the rate within two minutes, for ten minutes", 3600, _flash),
    Trace("ramps", "three climbs of twelve minutes to 6.7 times, and sudden ends", 3600, _ramps),
)


def trace_named(name: str) -> Trace:
    """Return the trace of that name. Raises ConfigError."""
    found = next((trace for trace in TRACES if trace.name == name), None)
    if found is None:
        names = ", ".join(trace.name for trace in TRACES)
        raise ConfigError(f"no trace is called {name}; expected one of {names}")
    return found
