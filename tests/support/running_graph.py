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
