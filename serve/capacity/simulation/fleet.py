"""Runs a trace against a fleet: arrivals, classifications, answers, starts and drains."""

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from serve.capacity.hardware import Hardware
from serve.capacity.signals import PERCENTILE, Signals
from serve.capacity.simulation.controllers import Controller
from serve.capacity.simulation.replicas import Detectors, Responder
from serve.capacity.simulation.reports import TICK_S
from serve.capacity.simulation.traces import Request

QUEUE = 64  # requests that a replica admits beyond its slots, as in `responder.queue`
POINT_S = 20.0  # between two points of a plot


@dataclass(frozen=True, slots=True)
class Bounds:
    """Least and most responders."""

    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Point:
    """The fleet at one moment."""

    time_s: float
    rate_per_s: float
    ready: int
    target: int


@dataclass(slots=True)
class Outcome:
    """Result of a run. Times to the first text are in the order in which the texts arrived."""

    ttft_ms: list[float] = field(default_factory=list)
    rejected: int = 0
    gpu_s: float = 0.0
    points: list[Point] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """All requests, also those that were rejected."""
        return len(self.ttft_ms) + self.rejected

    def violations(self, slo_ms: float) -> float:
        """Return the share of requests that were rejected or later than the objective."""
        late = sum(1 for each in self.ttft_ms if each > slo_ms)
        return (late + self.rejected) / max(self.requests, 1)

    def ttft_p95_ms(self) -> float:
        """Return the 95th percentile; a rejected request counts as infinitely late."""
        values = sorted(self.ttft_ms)
        index = math.ceil(PERCENTILE * self.requests) - 1
        return values[index] if index < len(values) else math.inf


class Fleet:
    """Replicas, and the requests that they have. `run` is the whole interface."""

    def __init__(self, hardware: Hardware, controller: Controller, bounds: Bounds) -> None:
        """Start with the least number of responders, all ready."""
        self._hardware = hardware
        self._controller = controller
        self._bounds = bounds
        self._target = bounds.minimum
        self._replicas = [Responder(hardware, 0.0, 0.0) for _ in range(bounds.minimum)]
        self._detectors = Detectors(hardware, 1)
        self._events: list[tuple[float, int, str, object]] = []
        self._order = 0
        self._held: list[Request] = []
        self._arrivals = 0
        self._outcome = Outcome()

    def run(self, requests: Iterable[Request], duration_s: float) -> Outcome:
        """Return the outcome of all requests. Answers that still run at the end are finished."""
        arrivals = iter(requests)
        upcoming = next(arrivals, None)
        self._push(TICK_S, "tick", None)
        self._push(POINT_S, "point", None)
        while upcoming is not None or self._events:
            if upcoming is not None and (not self._events or upcoming.time_s <= self._events[0][0]):
                self._arrivals += 1
                self._arrive(upcoming, upcoming.time_s)
                upcoming = next(arrivals, None)
                continue
            now_s, _, kind, subject = heapq.heappop(self._events)
            if kind not in ("tick", "point"):
                self._handle(kind, subject, now_s)
            elif now_s < duration_s:
                self._tick(now_s) if kind == "tick" else self._plot(now_s)
        for replica in self._replicas:
            self._outcome.gpu_s += duration_s - replica.ordered_s
        return self._outcome

    def _push(self, time_s: float, kind: str, subject: object) -> None:
        self._order += 1
        heapq.heappush(self._events, (time_s, self._order, kind, subject))

    def _handle(self, kind: str, subject: object, now_s: float) -> None:
        if kind == "ready":
            held, self._held = self._held, []
            for request in held:
                self._arrive(request, now_s)
        elif kind == "classified" and isinstance(subject, tuple):
            replica, request = subject
            self._started(request, replica.join(request, now_s))
            self._schedule(replica)
        elif kind == "end" and isinstance(subject, tuple):
            replica, changed = subject
            if changed == replica.changed:
                self._end(replica, now_s)

    def _arrive(self, request: Request, now_s: float) -> None:
        """Send a request to the replica with the fewest connections, as HAProxy does."""
        ready = self._ready(now_s)
        if not ready:
            self._held.append(request)
            return
        replica = min(ready, key=lambda each: each.connections)
        replica.reports.add_arrival(now_s)
        if replica.connections >= self._hardware.slots + QUEUE:
            self._outcome.rejected += 1
            return
        replica.connections += 1
        self._push(self._detectors.classify(now_s), "classified", (replica, request))

    def _end(self, replica: Responder, now_s: float) -> None:
        follower = replica.end_one(now_s)
        if follower is not None:
            self._started(*follower)
        self._schedule(replica)
        if replica.draining and not replica.connections:
            self._remove(replica, now_s)

    def _schedule(self, replica: Responder) -> None:
        end_s = replica.next_end_s()
        if end_s is not None:
            self._push(end_s, "end", (replica, replica.changed))

    def _started(self, request: Request, first_s: float | None) -> None:
        if first_s is not None:
            self._outcome.ttft_ms.append((first_s - request.time_s) * 1000)

    def _ready(self, now_s: float) -> list[Responder]:
        return [each for each in self._replicas if each.ready_s <= now_s and not each.draining]

    def _tick(self, now_s: float) -> None:
        decision = self._controller.decide(self._signals(now_s))
        self._scale(decision.responders, now_s)
        self._detectors.scale(decision.detectors, now_s)
        self._push(now_s + TICK_S, "tick", None)

    def _plot(self, now_s: float) -> None:
        rate, self._arrivals = self._arrivals / POINT_S, 0
        self._outcome.points.append(Point(now_s, rate, len(self._ready(now_s)), self._target))
        self._push(now_s + POINT_S, "point", None)

    def _signals(self, now_s: float) -> Signals:
        slots = self._hardware.slots
        ready = self._ready(now_s)
        for each in ready:
            each.reports.tick(now_s, each.running, each.connections, slots)
        return Signals(
            now_s=now_s,
            responders=tuple(each.reports.seen for each in ready if each.reports.seen),
            detectors=self._detectors.load(now_s),
            held=len(self._held),
            responder_target=self._target,
            detector_target=len(self._detectors),
        )

    def _scale(self, wanted: int, now_s: float) -> None:
        self._target = min(max(wanted, self._bounds.minimum), self._bounds.maximum)
        kept = [each for each in self._replicas if not each.draining]
        for _ in range(self._target - len(kept)):
            replica = Responder(self._hardware, now_s, now_s + self._hardware.start_s)
            self._replicas.append(replica)
            self._push(replica.ready_s, "ready", replica)
        kept.sort(key=lambda each: (each.ready_s <= now_s, each.connections))
        for replica in kept[: max(len(kept) - self._target, 0)]:
            replica.draining = True
            if not replica.connections:
                self._remove(replica, now_s)

    def _remove(self, replica: Responder, now_s: float) -> None:
        self._replicas.remove(replica)
        self._outcome.gpu_s += now_s - replica.ordered_s
