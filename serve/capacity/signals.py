"""Load of a replica, as it reports it to Serve's controller.

A replica's `record_autoscaling_stats` returns a flat dictionary of numbers. Its keys are the fields
of `ResponderLoad` or `DetectorLoad`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

PERCENTILE = 0.95  # of the time to the first text
# Replicas count arrivals over this time, and the policy decides once in it. So the points from
# which it reads growth are independent.
PERIOD_S = 5.0


class _Reported:
    """Numbers of one replica, to and from what Serve transports."""

    @classmethod
    def read(cls, stats: Mapping[str, float]) -> Self:
        """Return the load that was reported. Missing numbers are 0."""
        names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
        return cls(**{name: float(stats.get(name, 0)) for name in names})

    def report(self) -> dict[str, float]:
        """Return what `record_autoscaling_stats` returns."""
        return {field.name: float(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class ResponderLoad(_Reported):
    """Load of a responder replica.

    Attributes:
        running: answers in the engine's batch, at most `slots`.
        waiting: admitted answers that are not.
        slots: slots of the batch.
        arrivals_per_s: messages that were admitted or rejected, a second, over `PERIOD_S`.
        ttft_ms: 95th percentile of the time to the first text; 0 if there was none.
    """

    running: float = 0
    waiting: float = 0
    slots: float = 1
    arrivals_per_s: float = 0
    ttft_ms: float = 0


@dataclass(frozen=True, slots=True)
class DetectorLoad(_Reported):
    """Load of a detector replica.

    Attributes:
        busy: share of the time in which a batch was computed, 0 to 1.
        texts_per_s: texts that were classified, a second.
    """

    busy: float = 0
    texts_per_s: float = 0


@dataclass(frozen=True, slots=True)
class Signals:
    """State of the application at one moment, as the policy sees it.

    Attributes:
        held: requests that wait at the proxies because no replica is up.
        responder_target: replicas that Serve works towards at the moment.
    """

    now_s: float
    responders: tuple[ResponderLoad, ...]
    detectors: tuple[DetectorLoad, ...]
    held: float
    responder_target: int
    detector_target: int
