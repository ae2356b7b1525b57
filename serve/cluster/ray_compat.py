"""Workarounds for Ray: environment variables that it reads at import, and private attributes.

Everything that a new Ray release may break is in this file. Nothing here imports Ray at module
level, because `set_ray_environment` must run before Ray is imported.
"""

import logging
import os
import sys
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

from serve.config import HttpConfig
from serve.errors import ServingError
from serve.proxy.haproxy import TIMEOUT_MARGIN_S

LOG_BYTES = 32 * 2**20  # of a log file before it is rotated
LOG_BACKUPS = 4  # rotated files that are kept
RAY_VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's own ports listen on loopback only.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Ray's default of 15 is meant for tasks. A replica that answers requests must not yield.
    "RAY_worker_niceness": "0",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    # HAProxy in front of the replicas' own HTTP servers: see serve/proxy.
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_HAPROXY_BINARY_PATH": str(Path(sys.executable).with_name("fye-haproxy")),
    # A request whose replica died before it answered is repeated. Ten, since a dying process
    # may cost an idle connection, a connection in its backlog and a refused one.
    # `serve.pipeline.attempts` limits how many replicas one request can crash.
    "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
    "RAY_SERVE_HAPROXY_RETRIES": "10",
    "RAY_SERVE_HAPROXY_OBSERVE_ERROR_LIMIT": "1",
    "RAY_SERVE_HAPROXY_HEALTH_CHECK_INTER": "2s",
    "RAY_SERVE_HAPROXY_NBTHREAD": "1",
    # Only a request that fits into one buffer can be repeated.
    "RAY_SERVE_HAPROXY_TUNE_BUFSIZE": "65536",
    # Serve's own metrics of requests cost a Python process a datagram each; ours have them all.
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
    # HAProxy starts in a process that first imports Ray: slow on a busy machine.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "30",
    # Otherwise a replica's output waits in Serve's log until there are a thousand lines.
    "RAY_SERVE_LOG_TO_STDERR": "1",
    # Without the first one, Ray does not rotate the output of a replica, where the request log is.
    "RAY_ROTATION_MAX_BYTES": str(LOG_BYTES),
    "RAY_ROTATION_BACKUP_COUNT": str(LOG_BACKUPS),
    # A hung replica does not react to a graceful stop.
    "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS": "1",
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
    # The default of 0.1 s costs 3 % of a core on an idle machine.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "1000",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

START_TRIES = 3
TOO_SLOW = "timed out during startup"  # Ray gives its processes 30 s, which cannot be set

ONE_MACHINE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"}  # it keeps Ray on loopback
CLUSTER_VARIABLES = {"RAY_SERVE_HAPROXY_BINARY_PATH": "/opt/venv/bin/fye-haproxy"}  # of the image
CLUSTER_HAPROXY_FOLDER = "/run/fye-haproxy"
CLUSTER_FALLBACK_PORT = 8500


def set_ray_environment() -> None:
    """Set the variables that Ray reads when it is first imported. Existing values are kept."""
    for name, value in RAY_VARIABLES.items():
        os.environ.setdefault(name, value)


def start_local_ray(cpus: int, **settings: Any) -> None:
    """Start a Ray of its own on this machine, on a busy one at the second or third try.

    Raises:
        ServingError: Ray does not start.
    """
    import ray

    for tries_left in reversed(range(START_TRIES)):
        try:
            ray.init(
                "local",
                num_cpus=cpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **settings,
            )
            return
        except Exception as error:
            if TOO_SLOW not in str(error) or not tries_left:
                raise ServingError(f"Ray did not start: {error}") from error


def set_http_environment(config: HttpConfig, folder: Path, fallback_port: int) -> None:
    """Set the variables of `http_variables`. Existing values are replaced."""
    os.environ.update(http_variables(config, folder, fallback_port))


def cluster_variables(config: HttpConfig) -> dict[str, str]:
    """Return the variables that every node of a cluster needs before `ray start`."""
    shared = {name: value for name, value in RAY_VARIABLES.items() if name not in ONE_MACHINE}
    folder = Path(CLUSTER_HAPROXY_FOLDER)
    return shared | CLUSTER_VARIABLES | http_variables(config, folder, CLUSTER_FALLBACK_PORT)


def http_variables(config: HttpConfig, folder: Path, fallback_port: int) -> dict[str, str]:
    """Return the variables of HAProxy that follow from the configuration and from the machine.

    Args:
        config: limits of a request.
        folder: for HAProxy's files; a short path, since it holds a socket.
        fallback_port: free port of the proxy that holds requests while no replica is up.
    """
    timeout_s = config.timeout_ms / 1000 + TIMEOUT_MARGIN_S
    longest_s = config.max_timeout_ms / 1000 + TIMEOUT_MARGIN_S
    return {
        "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S": str(ceil(timeout_s)),
        # After a reload, the old process ends when its longest request must have ended.
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": str(ceil(longest_s)),
        "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": str(config.send_timeout_s),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback_port),
    }


def listening_host() -> str:
    """Return the address on which this Serve listens. Call it from within a replica.

    Raises:
        NotReady: the caller is not a Serve replica.
    """
    from ray.serve.context import _get_global_client

    from serve.errors import NotReady

    client = _get_global_client()
    if client is None:
        raise NotReady("no Serve client: this function must run in a replica")
    return str(client.http_config.host)


def metrics_url() -> str:
    """Return the address where Ray exports the metrics of this node.

    Raises:
        NotReady: Ray does not export any.
    """
    import ray

    from serve.errors import NotReady

    node_id = ray.get_runtime_context().get_node_id()
    for node in ray.nodes():  # type: ignore[no-untyped-call]
        if node["NodeID"] == node_id and node["MetricsExportPort"]:
            address = node["NodeManagerAddress"]
            host = f"[{address}]" if ":" in address else address
            return f"http://{host}:{node['MetricsExportPort']}/metrics"
    raise NotReady("Ray exports no metrics on this node")


def on_node_address(deployment: type) -> type:
    """Return a subclass whose replica binds its gRPC server to the node's own address.

    Replicas call each other over gRPC and unpickle what they receive, so anyone who reaches that
    server can run code in it. Serve binds it to `[::]` and has no setting for that (Ray 2.60,
    `Replica._on_initialized`). Callers are told the node's address, so no other one is needed: it
    is loopback on one machine and the cluster network's address in a cluster. Serve starts the
    server after it has created the object, so `__new__` is early enough to replace the function.
    """
    from ray.serve._private import replica

    serve_replica: Any = replica
    bind: Callable[[Any, str], int] = serve_replica.add_port_to_grpc_server

    def bind_to_node(server: Any, _everywhere: str) -> int:
        import ray

        address = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        return bind(server, f"[{address}]:0" if ":" in address else f"{address}:0")

    def new(cls: type, *_arguments: object, **_more: object) -> object:
        serve_replica.add_port_to_grpc_server = bind_to_node
        return object.__new__(cls)

    attributes = {"__new__": new, "__doc__": deployment.__doc__}
    return type(deployment.__name__, (deployment,), attributes)
