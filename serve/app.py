"""Wires the graph: the only place that binds deployments.

HTTP -> Ingress -> Detector
                -> Responder
"""

from typing import Any

from ray import serve
from ray.serve import Application

from serve.config import Replicas, ServeConfig
from serve.detector import Detector
from serve.http import make_http_app
from serve.ingress import Ingress
from serve.responder import ResponderReplica

GRACEFUL_SHUTDOWN_S = 60  # longer than the longest stream


def build(config: ServeConfig) -> Application:
    """The application of one configuration; what `import_path: serve.app:build` names in a Serve config file."""
    detector = _deployment(Detector, config.detector.replicas, 4 * config.detector.batch_size).bind(config.detector)
    ongoing = config.responder.hardware.max_num_seqs + config.responder.queue
    responder = _deployment(ResponderReplica, config.responder.replicas, ongoing, name="Responder").bind(config.responder)
    ingress = serve.ingress(make_http_app)(Ingress)
    bound: Application = _deployment(ingress, config.ingress.replicas, config.ingress.max_ongoing_requests, name="Ingress").bind(
        detector, responder
    )
    return bound


def _deployment(plain: type, replicas: Replicas, max_ongoing_requests: int, name: str | None = None) -> Any:
    scaling: dict[str, Any] = {"num_replicas": replicas.minimum}
    if replicas.maximum > replicas.minimum:
        scaling = {"autoscaling_config": {"min_replicas": replicas.minimum, "max_replicas": replicas.maximum}}
    return serve.deployment(
        name=name or plain.__name__,
        max_ongoing_requests=max_ongoing_requests,
        graceful_shutdown_timeout_s=GRACEFUL_SHUTDOWN_S,
        health_check_timeout_s=60,
        ray_actor_options={"num_cpus": replicas.cpus, "num_gpus": replicas.gpus},
        **scaling,
    )(plain)
