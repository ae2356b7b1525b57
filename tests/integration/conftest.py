"""The whole graph on real Ray, with the scripted engine: started once for this folder, and gone when the folder is done."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from support.running_graph import Graph

from load.harness.ports import free_port
from serve.cli.local_cluster import APP_NAME, serving, wait_ready
from serve.config import SCRIPTED, ResponderConfig
from serve.ray_compat import set_ray_environment

HOST = "127.0.0.1"
TOKEN_S = 0.2  # a whole answer takes over four seconds: time enough to leave in the middle
CONFIG = SCRIPTED.model_copy(update={"responder": ResponderConfig(kind="scripted", scripted_token_s=TOKEN_S)})
OPEN = ExitStack()


@pytest.fixture(scope="session")
def graph() -> Graph:
    from ray import serve  # before the environment is set: only what it starts is to be tuned, so that a test needs no event loop

    set_ray_environment()
    port = free_port()
    OPEN.enter_context(serving(CONFIG, HOST, port))
    wait_ready(HOST, port, threading.Event())
    responder = serve.get_deployment_handle("Responder", APP_NAME)
    return Graph(f"http://{HOST}:{port}", lambda: int(responder.stats.remote().result(timeout_s=10).running))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """A session's fixture would keep Ray until the end, and the end-to-end tests connect to a Ray of their own."""
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        OPEN.close()


@pytest.fixture
def client(graph: Graph) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=graph.url, timeout=30) as client:
        yield client


@pytest.fixture
async def async_client(graph: Graph) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=graph.url, timeout=30, limits=limits) as client:
        yield client
