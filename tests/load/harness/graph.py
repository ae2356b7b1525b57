"""The graph that a load test asks: started as `make serve` starts it, on loopback, and ended on the way out."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from serve.cli.local_cluster import APP_NAME, serving, wait_ready
from serve.cli.weights import fetch_weights
from serve.config import ServeConfig
from serve.ray_compat import set_ray_environment

HOST, PORT = "127.0.0.1", 8765
LOCAL = Path(__file__).parents[3] / "deploy" / "local.yaml"
console = Console(highlight=False, width=200)


@dataclass(frozen=True)
class Running:
    """Where the graph is, and how many answers its responder has under way at the moment."""

    url: str
    running: Callable[[], int]


@contextmanager
def running(config: ServeConfig, port: int = PORT) -> Iterator[Running]:
    """The graph of a configuration, once every stage has answered."""
    set_ray_environment()  # before Ray is imported: what is measured is what `make serve` starts
    from ray import serve

    fetch_weights(config)
    with serving(config, HOST, port):
        wait_ready(HOST, port, threading.Event())
        responder = serve.get_deployment_handle("Responder", APP_NAME)
        responder._init(_run_router_in_separate_loop=True)  # there is no event loop here
        responder = responder.options(_by_reference=True)
        yield Running(f"http://{HOST}:{port}", lambda: int(responder.stats.remote().result(timeout_s=10).running))
