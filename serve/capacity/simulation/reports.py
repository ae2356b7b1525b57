"""Reports of simulated replicas, through the meters that real ones have, as late as Serve's."""

from collections import deque
from collections.abc import Collection

from serve.capacity.meters import Recent, ResponderMeter
from serve.capacity.signals import DetectorLoad, ResponderLoad

TICK_S = 1.0  # between two looks of the controller
# As `COUPLED_SCALING` asks for: reported every 2 s, and the controller sees the mean of 4 s.
REPORT_TICKS = 2
REPORTS = 2


class ResponderReports:
    """Load of one responder as Serve's controller sees it.

    Attributes:
        seen: the last report; None before the first.
    """

    def __init__(self, started_s: float) -> None:
        """Start without a load."""
        self._now_s = started_s
        self._meter = ResponderMeter(lambda: self._now_s)
        self._samples: deque[ResponderLoad] = deque(maxlen=REPORTS)
        self._ticks = 0
        self.seen: ResponderLoad | None = None

    def add_arrival(self, now_s: float) -> None:
        """Count a request."""
        self._now_s = now_s
        self._meter.add_arrival()

    def add_ttft(self, now_s: float, ttft_ms: float) -> None:
        """Remember the time to the first text of an answer that ends now, as a replica does."""
        self._now_s = now_s
        self._meter.add_ttft(ttft_ms)

    def tick(self, now_s: float, running: int, admitted: int, slots: int) -> None:
        """Report the load now and then. It is called once in `TICK_S`."""
        self._ticks += 1
        if self._ticks % REPORT_TICKS == 0:
            self._now_s = now_s
            self._samples.append(self._meter.load(running, admitted, slots))
            self.seen = _mean(self._samples)


def _mean(loads: Collection[ResponderLoad]) -> ResponderLoad:
    return ResponderLoad(
        running=sum(each.running for each in loads) / len(loads),
        waiting=sum(each.waiting for each in loads) / len(loads),
        slots=sum(each.slots for each in loads) / len(loads),
        arrivals_per_s=sum(each.arrivals_per_s for each in loads) / len(loads),
        ttft_ms=sum(each.ttft_ms for each in loads) / len(loads),
    )


class DetectorReports:
    """Load of all detectors, which share it equally."""

    def __init__(self) -> None:
        """Start without a load at time 0."""
        self._now_s = 0.0
        self._busy_s = Recent(clock_s=lambda: self._now_s)
        self._texts = Recent(clock_s=lambda: self._now_s)

    def add_text(self, now_s: float, busy_s: float) -> None:
        """Count a text that one replica computes for that long."""
        self._now_s = now_s
        self._busy_s.add(busy_s)
        self._texts.add()

    def load(self, now_s: float, replicas: int) -> DetectorLoad:
        """Return the load of each of that many replicas."""
        self._now_s = now_s
        busy = min(self._busy_s.per_s() / replicas, 1.0)
        return DetectorLoad(busy, self._texts.per_s() / replicas)
