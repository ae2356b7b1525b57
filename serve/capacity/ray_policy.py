"""The policy as Ray Serve calls it: `applications[].autoscaling_policy` of a Serve config.

It runs in Serve's controller. An exception there would stop every update of the application, so
whatever goes wrong leaves the number of replicas as it is. Ray bypasses a policy while there is no
replica and a request waits: it starts one replica then, and this policy takes over.
"""

import logging
import math
import time
from collections.abc import Mapping
from typing import Any, Protocol

from serve.capacity.meters import Clock
from serve.capacity.policy import DETECTOR, RESPONDER, Policy
from serve.capacity.settings import settings_of
from serve.capacity.signals import DetectorLoad, ResponderLoad, Signals

log = logging.getLogger("ray.serve")
LOG_EVERY_S = 60.0  # a failure of each decision


class Context(Protocol):
    """The part of Ray's `AutoscalingContext` that is read."""

    deployment_name: str
    target_num_replicas: int
    current_num_replicas: int
    current_time: float | None

    @property
    def total_num_requests(self) -> float:
        """Requests at the replicas and at the handles."""
        ...

    @property
    def aggregated_metrics(self) -> Mapping[str, Mapping[Any, float]] | None:
        """Reported numbers by name and by replica."""
        ...


class ApplicationPolicy:
    """Callable that Serve creates once for an application."""

    def __init__(self, **settings: object) -> None:
        """Take `policy_kwargs`: the fields of `Settings`.

        Raises:
            ConfigError: a setting is unknown, is not a number, or is out of its range.
        """
        self._policy = Policy(settings_of(settings))
        self._clock_s: Clock = time.monotonic
        self._logged_s = -math.inf

    def __call__(self, contexts: Mapping[Any, Context]) -> tuple[dict[Any, int], dict[Any, Any]]:
        """Return the replicas of each deployment that Serve scales, by its id. Never raises."""
        try:
            return self._decide(contexts), {}
        except Exception as error:  # noqa: BLE001 (it would stop Serve's controller)
            self._log(error)
            return {key: each.target_num_replicas for key, each in contexts.items()}, {}

    def _log(self, error: Exception) -> None:
        """Log a failure at most once a minute, for as long as it lasts."""
        if self._clock_s() - self._logged_s < LOG_EVERY_S:
            return
        self._logged_s = self._clock_s()
        log.error("the scaling policy failed: %s: %s; replicas stay", type(error).__name__, error)

    def _decide(self, contexts: Mapping[Any, Context]) -> dict[Any, int]:
        by_name = {each.deployment_name: (key, each) for key, each in contexts.items()}
        if RESPONDER not in by_name:
            return {}
        responder = by_name[RESPONDER][1]
        detector = by_name[DETECTOR][1] if DETECTOR in by_name else None
        decision = self._policy.decide(signals_of(responder, detector))
        wanted = {RESPONDER: decision.responders, DETECTOR: decision.detectors}
        return {by_name[name][0]: number for name, number in wanted.items() if name in by_name}


def signals_of(responder: Context, detector: Context | None) -> Signals:
    """Return the signals in what Serve knows of both deployments."""
    no_replica = responder.current_num_replicas == 0
    return Signals(
        now_s=responder.current_time or 0.0,
        responders=tuple(ResponderLoad.read(stats) for stats in _by_replica(responder)),
        detectors=tuple(DetectorLoad.read(stats) for stats in _by_replica(detector)),
        held=responder.total_num_requests if no_replica else 0,
        responder_target=responder.target_num_replicas,
        detector_target=detector.target_num_replicas if detector else 1,
    )


def _by_replica(context: Context | None) -> list[dict[str, float]]:
    replicas: dict[Any, dict[str, float]] = {}
    metrics = (context.aggregated_metrics if context else None) or {}
    for name, values in metrics.items():
        for replica, value in values.items():
            replicas.setdefault(replica, {})[name] = value
    return list(replicas.values())
