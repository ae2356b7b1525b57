"""Wires the graph: the only place that binds deployments.

HTTP -> Ingress -> Detector
                -> Responder -> Directory
"""

from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve import Application
from ray.serve.config import BackpressureConfig

from serve.adapters.controller import Directory
from serve.api.auth import is_loopback, open_keys
from serve.api.routes import make_http_app
from serve.capacity import INGRESS_ROOM, TEXTS_AHEAD, derive_gates, ingress_places
from serve.config import Replicas, ServeConfig
from serve.detector.replica import Detector
from serve.errors import Overloaded
from serve.pipeline.ingress import Ingress
from serve.ray_compat import listening_host, on_node_address
from serve.responder.replica import ResponderReplica

DRAIN_S = 5  # on top of the longest stream
HEALTH_PERIOD_S = 5
HEALTH_TIMEOUT_S = 10  # Serve replaces a replica that has failed three checks in a row: one that hangs is gone within 40 s
INGRESS_TIMEOUT_S = 5  # sooner, since nobody else can tell that an ingress hangs: it says nothing until it has an answer
BUSY_S = 5  # Retry-After of whom Serve refuses before any gate, which alone would know better
DIRECTORY_REQUESTS = 1000  # one of each responder replica a second, and changes that wait


def build(config: ServeConfig) -> Application:
    """The application of one configuration; what `import_path: serve.app:build` names in a Serve config file."""

    def http_app() -> FastAPI:
        host = listening_host()
        return make_http_app(config.ingress, open_keys(config.api_keys, host), is_loopback(host))

    drain_s = config.ingress.max_timeout_ms / 1000 + DRAIN_S
    gates = derive_gates(config)
    detector = _deployment(Detector, config.detector.replicas, TEXTS_AHEAD * config.detector.batch_size, gates.texts[0], drain_s)
    ongoing = config.responder.hardware.max_num_seqs + config.responder.queue
    responder = _deployment(ResponderReplica, config.responder.replicas, ongoing, gates.answers[0], drain_s, name="Responder")
    directory = _deployment(Directory, Replicas(cpus=0), DIRECTORY_REQUESTS, -1, DRAIN_S).bind(config.responder)
    ingress = _deployment(
        serve.ingress(http_app)(Ingress), config.ingress.replicas, ingress_places(gates), INGRESS_ROOM, drain_s, name="Ingress"
    ).options(health_check_timeout_s=INGRESS_TIMEOUT_S)
    bound: Application = ingress.bind(
        gates,
        detector.bind(config.detector, config.tracing),
        responder.bind(config.responder, directory, config.tracing),
        directory,
        config.detector.harm != "off",
        config.tracing,
    )
    return bound


def _deployment(plain: type, replicas: Replicas, ongoing: int, queued: int, drain_s: float, name: str | None = None) -> Any:
    scaling: dict[str, Any] = {"num_replicas": replicas.minimum}
    if replicas.maximum > replicas.minimum:
        scaling = {"autoscaling_config": {"min_replicas": replicas.minimum, "max_replicas": replicas.maximum}}
    return serve.deployment(
        name=name or plain.__name__,
        max_ongoing_requests=ongoing,
        max_queued_requests=queued,
        backpressure_config=BackpressureConfig(status_code=Overloaded.status, retry_after_s=BUSY_S),
        graceful_shutdown_timeout_s=drain_s,
        health_check_period_s=HEALTH_PERIOD_S,
        health_check_timeout_s=HEALTH_TIMEOUT_S,
        ray_actor_options={"num_cpus": replicas.cpus, "num_gpus": replicas.gpus},
        **scaling,
    )(on_node_address(plain))
