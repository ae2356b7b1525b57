"""Has the server that a replica keeps for other replicas listen on its node's own address.

Replicas call each other over gRPC, and unpickle what they are sent: whoever reaches that server runs code in it. Serve has it listen
on `[::]`, every address of the machine, wherever Ray itself listens, and has no setting for that (2.60; `Replica._on_initialized`).
Others are told the node's address, so nobody needs more: on one machine it is loopback, in a cluster that of the cluster's network.
"""

from typing import Any

import ray
from ray.serve._private import replica

_serve: Any = replica
_listen = _serve.add_port_to_grpc_server  # nothing would be mended if Serve had it no more: then this fails


def on_node_address(stage: type) -> type:
    """The class of a stage, whose making has its replica listen so: Serve starts the server once it has made the object."""

    def new(cls: type, *_arguments: object, **_more: object) -> object:
        _serve.add_port_to_grpc_server = _on_node_address
        return object.__new__(cls)

    return type(stage.__name__, (stage,), {"__new__": new, "__doc__": stage.__doc__})


def _on_node_address(server: Any, _everywhere: str) -> int:
    address = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    port: int = _listen(server, f"[{address}]:0" if ":" in address else f"{address}:0")
    return port
