"""One engine as a processor that its answers share, and the detectors as one queue."""

import heapq
from collections import deque
from dataclasses import dataclass, field

from serve.capacity.hardware import Hardware
from serve.capacity.signals import DetectorLoad
from serve.capacity.simulation.reports import DetectorReports, ResponderReports
from serve.capacity.simulation.traces import Request


@dataclass(slots=True)
class Responder:
    """A responder replica.

    Every answer in the batch gets a token each `token_ms(running)`. So progress is one number for
    all of them: the tokens that an answer has got which was there from the start.

    Attributes:
        ready_s: when it answers for the first time.
        reports: what it reports to the controller.
        connections: requests that were sent here and have not ended.
        changed: counts changes of the batch, so that outdated events are known.
    """

    hardware: Hardware
    ordered_s: float
    ready_s: float
    connections: int = 0
    draining: bool = False
    changed: int = 0
    _tokens: float = 0.0
    _at_s: float = 0.0
    _ends: list[tuple[float, int]] = field(default_factory=list)
    _ttft_ms: dict[int, float] = field(default_factory=dict)
    _queue: deque[tuple[float, Request]] = field(default_factory=deque)
    _joined: int = 0
    reports: ResponderReports = field(init=False)

    def __post_init__(self) -> None:
        """Report from the moment when it is ready."""
        self.reports = ResponderReports(self.ready_s)

    @property
    def running(self) -> int:
        """Answers in the batch."""
        return len(self._ends)

    @property
    def waiting(self) -> int:
        """Requests here that are not in the batch."""
        return self.connections - len(self._ends)

    def join(self, request: Request, now_s: float) -> float | None:
        """Take a classified request. Return when it has its first token; None while it queues."""
        if len(self._ends) >= self.hardware.slots:
            self._queue.append((now_s, request))
            return None
        return self._start(request, now_s)

    def next_end_s(self) -> float | None:
        """Return when the next answer ends if the batch stays as it is."""
        if not self._ends:
            return None
        left = max(self._ends[0][0] - self._tokens, 0.0)
        return self._at_s + left * self._token_s()

    def end_one(self, now_s: float) -> tuple[Request, float] | None:
        """End the next answer. Return the request in its place, and its first token's time."""
        self._advance(now_s)
        _, ended = heapq.heappop(self._ends)
        self.reports.add_ttft(now_s, self._ttft_ms.pop(ended))
        self.connections -= 1
        self.changed += 1
        if not self._queue:
            return None
        _, request = self._queue.popleft()
        return request, self._start(request, now_s)

    def _start(self, request: Request, now_s: float) -> float:
        self._advance(now_s)
        prefill_s = request.prompt * self.hardware.prefill_ms_per_token / 1000
        self._at_s = max(self._at_s, now_s) + prefill_s  # no request gets a token meanwhile
        self._joined += 1
        heapq.heappush(self._ends, (self._tokens + request.answer, self._joined))
        self.changed += 1
        first_s = self._at_s + self._token_s()
        self._ttft_ms[self._joined] = (first_s - request.time_s) * 1000
        return first_s

    def _advance(self, now_s: float) -> None:
        if now_s > self._at_s:
            if self._ends:
                self._tokens += (now_s - self._at_s) / self._token_s()
            self._at_s = now_s

    def _token_s(self) -> float:
        hardware, running = self.hardware, len(self._ends)
        return max(hardware.token_ms(running), running * hardware.cpu_ms(100) / 100) / 1000


class Detectors:
    """All detector replicas: one queue, and a fixed time for a text."""

    def __init__(self, hardware: Hardware, number: int) -> None:
        """Start with that many replicas."""
        self._hardware = hardware
        self._free_s = [0.0] * number
        self._reports = DetectorReports()

    def __len__(self) -> int:
        """Return the number of replicas that work or start."""
        return len(self._free_s)

    def classify(self, now_s: float) -> float:
        """Return when a text that arrives now is classified."""
        service_s = 1 / self._hardware.detector_texts_per_s
        end_s = max(heapq.heappop(self._free_s), now_s) + service_s
        heapq.heappush(self._free_s, end_s)
        self._reports.add_text(now_s, service_s)
        return end_s

    def scale(self, number: int, now_s: float) -> None:
        """Have that many replicas. New ones take the time of a start; the most idle are removed."""
        while len(self._free_s) < number:
            heapq.heappush(self._free_s, now_s + self._hardware.detector_start_s)
        while len(self._free_s) > max(number, 1):
            heapq.heappop(self._free_s)

    def load(self, now_s: float) -> tuple[DetectorLoad, ...]:
        """Return the load of each replica."""
        number = len(self._free_s)
        return (self._reports.load(now_s, number),) * number
