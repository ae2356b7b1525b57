"""Ways to scale a fleet, behind one interface: the policy, Ray's default, and a fixed number."""

import math
from dataclasses import dataclass, field
from typing import Protocol

from serve.capacity.policy import Decision
from serve.capacity.signals import Signals

ENOUGH_DETECTORS = 8  # rivals are given as many as any trace needs: GPUs are compared


class Controller(Protocol):
    """Decides how many replicas there should be. `Policy` is one."""

    def decide(self, signals: Signals) -> Decision:
        """Return the number of replicas for the given signals."""
        ...


@dataclass(frozen=True, slots=True)
class Static:
    """A fleet that never changes."""

    responders: int

    def decide(self, signals: Signals) -> Decision:
        """Return the same number every time."""
        return Decision(self.responders, ENOUGH_DETECTORS)


@dataclass(slots=True)
class QueueLength:
    """Ray Serve's default policy with its default delays.

    Attributes:
        target: ongoing requests of a replica that it aims at.
    """

    target: float
    upscale_delay_s: float = 30
    downscale_delay_s: float = 600
    look_back_s: float = 30
    _since_s: float | None = None
    _direction: int = 0
    _ongoing: list[tuple[float, float]] = field(default_factory=list)

    def decide(self, signals: Signals) -> Decision:
        """Return replicas in proportion to the ongoing requests, once the delay has passed."""
        running = len(signals.responders)
        if not running:
            return Decision(max(signals.responder_target, 1), ENOUGH_DETECTORS)
        ongoing = self._average(signals)
        desired = max(math.ceil(running * (ongoing / (self.target * running))), 1)
        return Decision(self._delayed(desired, signals), ENOUGH_DETECTORS)

    def _average(self, signals: Signals) -> float:
        ongoing = sum(each.running + each.waiting for each in signals.responders)
        self._ongoing.append((signals.now_s, ongoing))
        oldest_s = signals.now_s - self.look_back_s
        self._ongoing = [each for each in self._ongoing if each[0] > oldest_s]
        return sum(each for _, each in self._ongoing) / len(self._ongoing)

    def _delayed(self, desired: int, signals: Signals) -> int:
        target = signals.responder_target
        direction = (desired > target) - (desired < target)
        if direction != self._direction or not direction:
            self._direction, self._since_s = direction, signals.now_s
        delay_s = self.upscale_delay_s if direction > 0 else self.downscale_delay_s
        if direction and signals.now_s - (self._since_s or 0.0) >= delay_s:
            self._direction = 0
            return desired
        return target
