"""A client that disconnects ends its generation before the answer would have ended."""

import asyncio
from typing import Any

import httpx
import pytest

from serve.engine.scripted import script
from support.running_graph import Graph, wait_for_running

FREE_S = 3.0  # a whole answer takes more than four seconds
START_S = 30.0
OWN, CHAT = "/v1/respond", "/v1/chat/completions"
BODIES: dict[str, dict[str, Any]] = {
    OWN: {"text": "such sadness"},
    CHAT: {"messages": [{"role": "user", "content": "such sadness"}]},
}
PATHS = pytest.mark.parametrize("path", [OWN, CHAT])


async def leave(client: httpx.AsyncClient, path: str, after_deltas: int) -> None:
    async with client.stream("POST", path, json=BODIES[path] | {"stream": True}) as reply:
        seen = 0
        async for line in reply.aiter_lines():
            seen += line.startswith("data:")
            if seen > after_deltas:
                return


@PATHS
async def test_disconnect_from_a_stream_frees_the_responder(
    graph: Graph, async_client: httpx.AsyncClient, path: str
) -> None:
    await leave(async_client, path, after_deltas=2)
    await wait_for_running(graph, 0, FREE_S)


@PATHS
async def test_disconnect_from_a_whole_answer_frees_the_responder(
    graph: Graph, async_client: httpx.AsyncClient, path: str
) -> None:
    waiting = asyncio.create_task(async_client.post(path, json=BODIES[path]))
    await wait_for_running(graph, 1, START_S)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await wait_for_running(graph, 0, FREE_S)


async def test_disconnects_do_not_affect_other_clients(
    graph: Graph, async_client: httpx.AsyncClient
) -> None:
    stays = asyncio.create_task(async_client.post(OWN, json=BODIES[OWN]))
    await asyncio.gather(*(leave(async_client, OWN, after_deltas=1) for _ in range(5)))
    await wait_for_running(graph, 1, FREE_S)
    assert (await stays).json()["text"] == script("sadness@scripted")
    await wait_for_running(graph, 0, START_S)
