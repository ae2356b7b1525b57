"""Limits of the graph, and the number of replicas that it needs.

limits      limits of the engine, of admission and of Serve, from the configuration
meters      load of a replica, measured
signals     load of a replica, as it reports it to Serve
policy      replicas of both deployments from these signals: a pure state machine
ray_policy  the policy as an application-level autoscaling policy of Ray Serve
hardware    measured or derived speed of a machine
commands    output of both commands
plan        replicas, GPUs and cost for a rate: `python -m serve plan`
simulation  the policy and its rivals on traces: `python -m serve simulate`
"""

from serve.capacity.limits import (
    EMPTY_SLOT,
    ENGINE_RANKS,
    EngineLimits,
    GateLimits,
    Gates,
    adapter_slots,
    derive_gates,
    derive_limits,
    detector_requests,
    responder_requests,
)

__all__ = [
    "EMPTY_SLOT",
    "ENGINE_RANKS",
    "EngineLimits",
    "GateLimits",
    "Gates",
    "adapter_slots",
    "derive_gates",
    "derive_limits",
    "detector_requests",
    "responder_requests",
]
