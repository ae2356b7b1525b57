"""Wiring of the graph: the only place that binds deployments.

HAProxy -> Responder (HTTP, pipeline, engine) -> Detector
                                              -> AdapterController
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve import Application
from ray.serve.config import BackpressureConfig

from serve.adapters.controller import AdapterController
from serve.api.app import make_http_app
from serve.api.auth import is_loopback, open_admin_keys, open_keys
from serve.capacity import derive_gates, detector_requests, responder_requests
from serve.cluster.ray_compat import listening_host, on_node_address
from serve.config import FEWEST_TOKENS, Replicas, ServeConfig
from serve.detector.replica import Detector
from serve.errors import Overloaded
from serve.pipeline.replica import ResponderReplica

DRAIN_MARGIN_S = 5  # added to the longest stream
HEALTH_PERIOD_S = 5
HEALTH_TIMEOUT_S = 5  # Serve replaces a replica after three failed checks: within 40 s
BUSY_RETRY_S = 5  # Retry-After of Serve's own limit, which rejects before admission control can
RESPONDER_QUEUE = 64  # requests beyond Serve's limit that wait unseen; more are rejected
# The coupled policy has delays of its own, and wants to see the load of the last seconds.
COUPLED_SCALING = {
    "upscale_delay_s": 0,
    "downscale_delay_s": 0,
    "metrics_interval_s": 2,
    "look_back_period_s": 4,
}
CONTROLLER_REQUESTS = 1000  # a report of each responder replica a second, and waiting changes


def build(config: ServeConfig) -> Application:
    """Return the application; `import_path: serve.app:build` of a Serve config file."""

    def http_app() -> FastAPI:
        host = listening_host()
        keys = open_keys(config.api_keys, host)
        admin_keys = open_admin_keys(config.api_keys, keys)
        return make_http_app(config.http, keys, admin_keys, is_loopback(host))

    drain_s = config.http.max_timeout_ms / 1000 + DRAIN_MARGIN_S
    gates = derive_gates(config)
    scaling = COUPLED_SCALING if config.scaling == "coupled" else {}
    detector = _deployment(
        Detector,
        "Detector",
        config.detector.replicas,
        ongoing=detector_requests(config),
        queued=gates.texts.admitted // FEWEST_TOKENS,
        drain_s=drain_s,
        scaling=scaling,
    )
    controller = _deployment(
        AdapterController,
        "AdapterController",
        Replicas(cpus=0),
        ongoing=CONTROLLER_REQUESTS,
        queued=-1,
        drain_s=DRAIN_MARGIN_S,
    )
    responder = _deployment(
        serve.ingress(http_app)(ResponderReplica),
        "Responder",
        config.responder.replicas,
        ongoing=responder_requests(gates),
        queued=RESPONDER_QUEUE,
        drain_s=drain_s,
        scaling=scaling,
    )
    bound: Application = responder.bind(
        config,
        detector.bind(config.detector, config.tracing, config.responder.critic_folder),
        controller.bind(config.responder),
    )
    return bound


def _deployment(  # noqa: PLR0913 (each is a setting of Serve)
    plain: type,
    name: str,
    replicas: Replicas,
    *,
    ongoing: int,
    queued: int,
    drain_s: float,
    scaling: Mapping[str, int] = MappingProxyType({}),
) -> Any:
    number: dict[str, Any] = {"num_replicas": replicas.minimum}
    if replicas.maximum > replicas.minimum:
        bounds = {"min_replicas": replicas.minimum, "max_replicas": replicas.maximum}
        number = {"autoscaling_config": bounds | dict(scaling)}
    if replicas.per_node is not None:
        number["max_replicas_per_node"] = replicas.per_node
    return serve.deployment(
        name=name,
        max_ongoing_requests=ongoing,
        max_queued_requests=queued,
        backpressure_config=BackpressureConfig(
            status_code=Overloaded.status, retry_after_s=BUSY_RETRY_S
        ),
        graceful_shutdown_timeout_s=drain_s,
        health_check_period_s=HEALTH_PERIOD_S,
        health_check_timeout_s=HEALTH_TIMEOUT_S,
        ray_actor_options={"num_cpus": replicas.cpus, "num_gpus": replicas.gpus},
        **number,
    )(on_node_address(plain))
