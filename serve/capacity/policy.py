"""Number of replicas of both deployments, from the load that they report.

A state machine without clock, threads or Ray: the same signals always give the same decision. It
may be asked at any interval, and decides every few seconds.

    answers in work, and their growth over the time that a replica needs to start
        -> responders, within a rate of change, down only when fewer were enough for minutes
    share of time that the detectors compute, and the same growth
        -> detectors, which therefore grow before the responders' queue does
"""

import math
from collections import deque
from dataclasses import dataclass

from serve.capacity.hysteresis import Hysteresis
from serve.capacity.settings import Settings
from serve.capacity.signals import PERIOD_S, Signals

DETECTOR = "Detector"
RESPONDER = "Responder"
MIN_SHARE = 0.4  # least share of the slots that a fleet out of its objective is sized for
TIGHTEN, RELAX = 0.99, 1.002  # of that share, a second
MAX_ELAPSED_S = 2 * PERIOD_S  # counts after a pause of Serve's controller
NOISE_SIGMAS = 2  # growth below this many standard errors is chance
FEWEST_POINTS = 6  # with fewer, chance looks like growth


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
        self._responders = Hysteresis(self._settings)
        self._detectors = Hysteresis(self._settings)
        self._share = self._settings.busy
        self._last_work_s: float | None = None
        self._decided_s = -math.inf

    def decide(self, signals: Signals) -> Decision:
        """Return the number of replicas for the given signals.

        Between two decisions, and while no replica has reported, the targets stay.
        """
        elapsed_s = signals.now_s - self._decided_s
        if 0 <= elapsed_s < PERIOD_S:
            return Decision(signals.responder_target, signals.detector_target)
        self._decided_s = signals.now_s
        if _is_work(signals) or self._last_work_s is None:
            self._last_work_s = signals.now_s
        if signals.responder_target and not signals.responders:
            return Decision(signals.responder_target, signals.detector_target)
        self._note(signals, min(elapsed_s, MAX_ELAPSED_S) if 0 <= elapsed_s < math.inf else 0)
        if signals.now_s - self._last_work_s >= self._settings.idle_s:
            return Decision(0, 0)
        growth = self._growth()
        return Decision(
            self._responders.step(
                signals.now_s, signals.responder_target, self._wanted_responders(signals, growth)
            ),
            self._detectors.step(
                signals.now_s, signals.detector_target, self._wanted_detectors(signals, growth)
            ),
        )

    def _note(self, signals: Signals, elapsed_s: float) -> None:
        now_s, settings = signals.now_s, self._settings
        rate = sum(each.arrivals_per_s for each in signals.responders)
        self._rates.append((now_s, rate))
        while self._rates[0][0] < now_s - settings.trend_s:
            self._rates.popleft()
        late = any(each.ttft_ms > settings.slo_ttft_ms for each in signals.responders)
        share = self._share * (TIGHTEN if late else RELAX) ** elapsed_s
        self._share = min(max(share, MIN_SHARE), settings.busy)

    def _growth(self) -> float:
        """Return the factor by which the rate will have grown when a new replica answers."""
        trend = _trend(list(self._rates))
        if trend is None or trend.rate <= 0:
            return 1.0
        rise = max(trend.slope - NOISE_SIGMAS * trend.noise, 0) * self._settings.start_s
        return min(1 + rise / trend.rate, self._settings.step_up)

    def _wanted_responders(self, signals: Signals, growth: float) -> int:
        slots = max((each.slots for each in signals.responders), default=1)
        in_work = self._in_work(signals)
        needed = math.ceil(in_work * growth / (slots * self._share))
        # Classification needs a responder for its HTTP, and no more than that.
        awake = _is_answering(signals) or in_work
        return max(needed, 1) if awake else min(signals.responder_target, 1)

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

    def _wanted_detectors(self, signals: Signals, growth: float) -> int:
        if signals.detector_target and not signals.detectors:
            return signals.detector_target
        busy = sum(each.busy for each in signals.detectors)
        needed = math.ceil(busy * growth / self._settings.detector_busy)
        return max(needed, 1) if _is_work(signals) else max(needed, min(signals.detector_target, 1))


def _is_answering(signals: Signals) -> bool:
    """Return whether anybody waits for a responder."""
    return signals.held > 0 or any(
        each.running or each.waiting or each.arrivals_per_s for each in signals.responders
    )


def _is_work(signals: Signals) -> bool:
    """Return whether anybody waits for something."""
    return _is_answering(signals) or any(
        each.busy or each.texts_per_s for each in signals.detectors
    )


@dataclass(frozen=True, slots=True)
class _Trend:
    """A line through rates over time.

    Attributes:
        rate: requests a second at the last point.
        slope: of the line, in requests a second squared.
        noise: standard error of the slope, from what the line leaves over.
    """

    rate: float
    slope: float
    noise: float


def _trend(points: list[tuple[float, float]]) -> _Trend | None:
    """Return the trend of independent points; None if there are too few."""
    if len(points) < FEWEST_POINTS:
        return None
    mean_s = sum(time_s for time_s, _ in points) / len(points)
    mean = sum(rate for _, rate in points) / len(points)
    spread = sum((time_s - mean_s) ** 2 for time_s, _ in points)
    if spread <= 0:
        return None
    slope = sum((time_s - mean_s) * (rate - mean) for time_s, rate in points) / spread
    left = sum((rate - mean - slope * (time_s - mean_s)) ** 2 for time_s, rate in points)
    noise = math.sqrt(left / (len(points) - 2) / spread)
    return _Trend(mean + slope * (points[-1][0] - mean_s), slope, noise)
