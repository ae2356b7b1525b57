"""Handle to the graph that the integration tests share."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from serve.cli.local_cluster import APP_NAME

POLL_S = 0.05


@dataclass(frozen=True)
class Graph:
    """Running graph."""

    url: str
    running: Callable[[], int]  # replies that its responder generates at the moment


async def wait_for_running(graph: Graph, running: int, limit_s: float) -> None:
    """Wait until the responder generates exactly this many replies."""
    deadline_s = time.monotonic() + limit_s
    while (found := await asyncio.to_thread(graph.running)) != running:
        assert time.monotonic() < deadline_s, f"{found} replies are generated, expected {running}"
        await asyncio.sleep(POLL_S)


@contextmanager
def stopped_replica(deployment: str) -> Iterator[psutil.Process]:
    """Stop the only replica of a deployment, so that what is asked of it stays."""
    command = f"ServeReplica:{APP_NAME}:{deployment}"
    processes = psutil.Process().children(recursive=True)
    [process] = [one for one in processes if command in " ".join(one.cmdline())]
    process.suspend()
    try:
        yield process
    finally:
        with suppress(psutil.NoSuchProcess):  # it was killed, or Serve has replaced it
            process.resume()


def kill_replica(deployment: str) -> None:
    """Kill one replica of a deployment without a graceful shutdown."""
    import ray

    actors = [actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True)]
    deployment_part = f"#{deployment}#"
    [name, *_] = [
        name for name in actors if name.startswith("SERVE_REPLICA::") and deployment_part in name
    ]
    ray.kill(ray.get_actor(name, namespace="serve"))
