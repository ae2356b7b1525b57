"""Fixtures: the whole graph on real Ray with the scripted engine, started once for this folder."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from load.harness.ports import free_port
from serve.cli.local_cluster import APP_NAME, serving, wait_ready
from serve.cluster.ray_compat import set_ray_environment
from serve.config import SCRIPTED, GuardConfig, KeysConfig, ResponderConfig, ScriptedConfig
from support.admin_key import ADMIN_HEADERS, ADMIN_SHA256
from support.running_graph import Graph

HOST = "127.0.0.1"
TOKEN_S = 0.2  # a whole answer takes over four seconds: time enough to disconnect in between
RESPONDER = ResponderConfig(
    kind="scripted",
    scripted=ScriptedConfig(token_s=TOKEN_S),
    publish_roots=(Path("/"),),
    guard=GuardConfig(min_answers=10),
)
KEYS = KeysConfig(admin_sha256=ADMIN_SHA256)
CONFIG = SCRIPTED.model_copy(update={"responder": RESPONDER, "api_keys": KEYS})
OPEN = ExitStack()


@pytest.fixture(scope="session")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    # Before the environment is set: then this process' own handles need no event loop.
    from ray import serve

    set_ray_environment()
    port = free_port()
    responder_config = RESPONDER.model_copy(update={"store": str(tmp_path_factory.mktemp("store"))})
    config = CONFIG.model_copy(update={"responder": responder_config})
    OPEN.enter_context(serving(config, HOST, port))
    wait_ready(HOST, port, threading.Event())
    responder = serve.get_deployment_handle("Responder", APP_NAME)
    url = f"http://{HOST}:{port}"
    return Graph(url, lambda: int(responder.stats.remote().result(timeout_s=10).running))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the graph after this folder: the end-to-end tests start a Ray of their own."""
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        OPEN.close()


@pytest.fixture
def client(graph: Graph) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=graph.url, timeout=30, headers=ADMIN_HEADERS) as client:
        yield client


@pytest.fixture
async def async_client(graph: Graph) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=graph.url, timeout=30, limits=limits, headers=ADMIN_HEADERS
    ) as client:
        yield client
