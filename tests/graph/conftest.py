"""The whole graph on real Ray, with the scripted engine: started once for this folder."""

import threading
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from running_graph import Graph
from serve.config import SCRIPTED, ResponderConfig
from serve.run import APP_NAME, serving, set_ray_environment, wait_ready
from servers import free_port

set_ray_environment()  # before any test imports Ray
HOST = "127.0.0.1"
TOKEN_S = 0.2  # a whole answer takes over four seconds: time enough to leave in the middle
CONFIG = SCRIPTED.model_copy(update={"responder": ResponderConfig(kind="scripted", scripted_token_s=TOKEN_S)})


# Not of the session: Ray must be gone when the end-to-end tests connect to a graph of their own.
@pytest.fixture(scope="package")
def graph() -> Iterator[Graph]:
    port = free_port()
    with serving(CONFIG, HOST, port):
        from ray import serve

        wait_ready(HOST, port, threading.Event())
        responder = serve.get_deployment_handle("Responder", APP_NAME)
        responder._init(_run_router_in_separate_loop=True)  # what Serve is set to needs a loop of the caller's, which a test has not
        yield Graph(f"http://{HOST}:{port}", lambda: int(responder.stats.remote().result(timeout_s=10).running))


@pytest.fixture
def client(graph: Graph) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=graph.url, timeout=30) as client:
        yield client


@pytest.fixture
async def async_client(graph: Graph) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=graph.url, timeout=30, limits=limits) as client:
        yield client
