"""Start and stop of the graph, on loopback and with the settings of `make serve`."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from load.harness.deployments import RESPONDER
from serve.cli.config_file import read_config
from serve.cli.local_cluster import APP_NAME, serving, wait_ready
from serve.cli.weights import fetch_weights
from serve.cluster.ray_compat import set_ray_environment
from serve.config import ServeConfig

HOST = "127.0.0.1"
PORT = 8765
LOCAL = Path(__file__).parents[3] / "deploy" / "local.yaml"
STATS_TIMEOUT_S = 10
console = Console(highlight=False, width=200)


@dataclass(frozen=True)
class RunningGraph:
    """Running graph."""

    url: str
    count_running: Callable[[], int]  # replies that its responder generates at the moment


def local_config() -> ServeConfig:
    """Return the configuration of `make serve` with one candidate, as the peers have one."""
    config = read_config(LOCAL)
    responder = config.responder.model_copy(update={"candidates": 1})
    return config.model_copy(update={"responder": responder})


@contextmanager
def running_graph(config: ServeConfig, port: int = PORT) -> Iterator[RunningGraph]:
    """Run the graph of a configuration; the block is entered once every deployment is ready."""
    # Before Ray is imported, so that the load test measures the settings of `make serve`.
    set_ray_environment()
    fetch_weights(config)
    with serving(config, HOST, port):
        wait_ready(HOST, port, threading.Event())
        yield RunningGraph(f"http://{HOST}:{port}", _running_counter())


def _running_counter() -> Callable[[], int]:
    from ray import serve

    responder = serve.get_deployment_handle(RESPONDER, APP_NAME)
    # The caller has no event loop, so the handle's router needs one of its own.
    responder._init(_run_router_in_separate_loop=True)  # type: ignore[no-untyped-call]
    responder = responder.options(_by_reference=True)

    def count_running() -> int:
        return int(responder.stats.remote().result(timeout_s=STATS_TIMEOUT_S).running)

    return count_running
