"""What a test of the running graph holds."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Graph:
    """Where it is, and how many answers its responder generates at the moment."""

    url: str
    running: Callable[[], int]


async def until_running(graph: Graph, running: int, limit_s: float) -> None:
    """Returns when the responder generates so many answers."""
    deadline_s = time.monotonic() + limit_s
    while (found := await asyncio.to_thread(graph.running)) != running:
        assert time.monotonic() < deadline_s, f"{found} answers are generated, not {running}"
        await asyncio.sleep(0.05)


def kill(stage: str) -> None:
    """Kills one replica of a stage, as the machine might."""
    import ray

    names = [actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True)]
    [name, *_] = [name for name in names if name.startswith("SERVE_REPLICA::") and f"#{stage}#" in name]
    ray.kill(ray.get_actor(name, namespace="serve"))
