"""Workarounds for Ray: environment variables that it reads at import, and private attributes.

Everything that a new Ray release may break is in this file. Nothing here imports Ray at module
level, because `set_ray_environment` must run before Ray is imported.
"""

import os
from collections.abc import Callable
from typing import Any

RAY_VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's own ports listen on loopback only.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Ray's default of 15 is meant for tasks. A replica that answers requests must not yield.
    "RAY_worker_niceness": "0",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    # In Ray 2.60 the line above enables gRPC between deployments but not for the proxy.
    "RAY_SERVE_PROXY_USE_GRPC": "1",
    # Otherwise a replica's output waits in Serve's log until there are a thousand lines.
    "RAY_SERVE_LOG_TO_STDERR": "1",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve.proxy.middleware:middlewares",
    # A hung replica does not react to a graceful stop.
    "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS": "1",
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
    # The default of 0.1 s costs 3 % of a core on an idle machine.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "1000",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def set_ray_environment() -> None:
    """Set the variables that Ray reads when it is first imported. Existing values are kept."""
    for name, value in RAY_VARIABLES.items():
        os.environ.setdefault(name, value)


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
