"""Number of replicas of both deployments, from the load that they report.

A state machine without clock, threads or Ray: the same signals always give the same decision.

    answers in work, and their growth over the time that a replica needs to start
        -> responders, within a rate of change, down only when fewer were enough for minutes
    share of time that the detectors compute, and the same growth
        -> detectors, which therefore grow before the responders' queue does
"""

import math
from collections import deque
from dataclasses import dataclass

from serve.capacity.signals import Signals

DETECTOR = "Detector"
RESPONDER = "Responder"
MIN_SHARE = 0.4  # least share of the slots that a fleet out of its objective is sized for
TIGHTEN, RELAX = 0.95, 1.01  # of that share, a decision
NOISE_SIGMAS = 2  # growth below this many standard errors is chance


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings that an operator may choose.

    Attributes:
        slo_ttft_ms: objective of the 95th percentile of the time to the first text.
        start_s: time from the decision to a replica that answers.
        busy: share of the engines' slots in use for which the fleet is sized.
        detector_busy: share of the time that detectors compute for which they are sized.
        backlog: waiting answers count up to this share of all slots.
        smooth_s: time over which the answers in work are averaged.
        trend_s: time over which growth is measured.
        hold_s: fewer replicas must have been enough for that long.
        idle_s: without any request for that long, the minimum is enough (0 where it is allowed).
        step_up: largest factor of one increase.
        step_down: largest share of the replicas removed at once; at least one is.
    """

    slo_ttft_ms: float = 1000
    start_s: float = 60
    busy: float = 0.65
    detector_busy: float = 0.6
    backlog: float = 1
    smooth_s: float = 10
    trend_s: float = 60
    hold_s: float = 120
    idle_s: float = 600
    step_up: float = 2
    step_down: float = 0.25


@dataclass(frozen=True, slots=True)
class Decision:
    """Replicas to have. Bounds of the configuration are applied by the caller."""

    responders: int
    detectors: int


class Policy:
    """Decides again and again. It keeps what it has seen in the last minutes, and nothing else."""

    def __init__(self, settings: Settings | None = None) -> None:
        """Start without a past."""
        self._settings = settings or Settings()
        self._rates: deque[tuple[float, float]] = deque()
        self._works: deque[tuple[float, float]] = deque()
        self._wanted: deque[tuple[float, int, int]] = deque()
        self._share = self._settings.busy
        self._last_work_s: float | None = None
        self._reduced_s = -math.inf

    def decide(self, signals: Signals) -> Decision:
        """Return the number of replicas for the given signals."""
        self._note(signals)
        if self._is_idle(signals):
            return Decision(0, 0)
        growth = self._growth()
        wanted = Decision(self._responders(signals, growth), self._detectors(signals, growth))
        return self._held_back(signals, wanted)

    def _note(self, signals: Signals) -> None:
        now_s, settings = signals.now_s, self._settings
        rate = sum(each.arrivals_per_s for each in signals.responders)
        self._rates.append((now_s, rate))
        while self._rates[0][0] < now_s - settings.trend_s:
            self._rates.popleft()
        if _work(signals) or self._last_work_s is None:
            self._last_work_s = now_s
        late = any(each.ttft_ms > settings.slo_ttft_ms for each in signals.responders)
        share = self._share * (TIGHTEN if late else RELAX)
        self._share = min(max(share, MIN_SHARE), settings.busy)

    def _is_idle(self, signals: Signals) -> bool:
        last_s = signals.now_s if self._last_work_s is None else self._last_work_s
        return signals.now_s - last_s >= self._settings.idle_s

    def _growth(self) -> float:
        """Return the factor by which the rate will have grown when a new replica answers."""
        slope, noise = _slope(list(self._rates))
        rate = self._rates[-1][1]
        rise = max(slope - NOISE_SIGMAS * noise, 0) * self._settings.start_s
        return min(1 + rise / rate, self._settings.step_up) if rate > 0 else 1.0

    def _responders(self, signals: Signals, growth: float) -> int:
        slots = max((each.slots for each in signals.responders), default=1)
        in_work = self._in_work(signals)
        needed = math.ceil(in_work * growth / (slots * self._share))
        return max(needed, 1) if _work(signals) or in_work else min(signals.responder_target, 1)

    def _in_work(self, signals: Signals) -> float:
        """Return the mean number of answers in work in the last seconds."""
        running = sum(each.running for each in signals.responders)
        # A backlog is served within seconds once the rate is: it must not count like a rate.
        most = self._settings.backlog * sum(each.slots for each in signals.responders)
        in_work = running + min(sum(each.waiting for each in signals.responders), most)
        self._works.append((signals.now_s, in_work))
        while self._works[0][0] < signals.now_s - self._settings.smooth_s:
            self._works.popleft()
        return sum(each for _, each in self._works) / len(self._works)

    def _detectors(self, signals: Signals, growth: float) -> int:
        busy = sum(each.busy for each in signals.detectors)
        needed = math.ceil(busy * growth / self._settings.detector_busy)
        return max(needed, 1) if _work(signals) else max(needed, min(signals.detector_target, 1))

    def _held_back(self, signals: Signals, wanted: Decision) -> Decision:
        """Apply the rates of change and the hysteresis."""
        now_s = signals.now_s
        self._wanted.append((now_s, wanted.responders, wanted.detectors))
        while self._wanted[0][0] < now_s - self._settings.hold_s:
            self._wanted.popleft()
        most_responders = max(responders for _, responders, _ in self._wanted)
        most_detectors = max(detectors for _, _, detectors in self._wanted)
        may_reduce = now_s - self._reduced_s >= self._settings.start_s
        decision = Decision(
            self._step(signals.responder_target, wanted.responders, most_responders, may_reduce),
            self._step(signals.detector_target, wanted.detectors, most_detectors, may_reduce),
        )
        if decision.responders < signals.responder_target:
            self._reduced_s = now_s
        return decision

    def _step(self, target: int, wanted: int, most: int, may_reduce: bool) -> int:
        if wanted > target:
            return min(wanted, max(math.ceil(target * self._settings.step_up), 1))
        if most < target and may_reduce:
            return max(most, target - max(int(target * self._settings.step_down), 1))
        return target


def _work(signals: Signals) -> bool:
    """Return whether anybody waits for something."""
    return signals.held > 0 or any(
        each.running or each.waiting or each.arrivals_per_s for each in signals.responders
    )


def _slope(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the slope of rates over time, and its standard error from what it leaves over."""
    if len(points) < 3:
        return 0.0, 0.0
    mean_s = sum(time_s for time_s, _ in points) / len(points)
    mean = sum(rate for _, rate in points) / len(points)
    spread = sum((time_s - mean_s) ** 2 for time_s, _ in points)
    if spread <= 0:
        return 0.0, 0.0
    slope = sum((time_s - mean_s) * (rate - mean) for time_s, rate in points) / spread
    left = sum((rate - mean - slope * (time_s - mean_s)) ** 2 for time_s, rate in points)
    return slope, math.sqrt(left / (len(points) - 2) / spread)
