"""Deadlines and admission on the running graph."""

import asyncio
import json
import time
from collections import deque
from statistics import median
from typing import Any

import aiohttp
import httpx
import pytest

from support.running_graph import Graph, stopped_replica, wait_for_running

OWN, CHAT = "/v1/respond", "/v1/chat/completions"
BODIES: dict[str, dict[str, Any]] = {
    OWN: {"text": "such sadness"},
    CHAT: {"messages": [{"role": "user", "content": "such sadness"}]},
}
PATHS = pytest.mark.parametrize("path", [OWN, CHAT])
SOON = {"x-request-timeout-ms": "700"}  # a whole answer takes more than four seconds
FREE_S = 3.0  # a whole answer takes more than four seconds
SLOTS, ADMITTED = 32, 96  # of the responder: answers at once, and with those that wait
CHECKS = 9  # health checks whose median must be quick
MORE, EACH_S = 50, 0.006  # of a flood: who finds no room, and from one to the next
REFUSED_S, ALIVE_S = 30, 0.3  # at most, until so many are refused; of a reply that needs no stage


@PATHS
async def test_timed_out_answer_frees_the_responder(
    graph: Graph, async_client: httpx.AsyncClient, path: str
) -> None:
    began_s = time.monotonic()
    reply = await async_client.post(path, json=BODIES[path], headers=SOON)
    assert time.monotonic() - began_s < 0.7 + FREE_S
    assert (reply.status_code, "deadline-exceeded" in reply.text) == (504, True)
    await wait_for_running(graph, 0, FREE_S)


@PATHS
async def test_timed_out_stream_ends_with_an_error(
    graph: Graph, async_client: httpx.AsyncClient, path: str
) -> None:
    reply = await async_client.post(path, json=BODIES[path] | {"stream": True}, headers=SOON)
    data = [
        line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: ")
    ]
    last = json.loads(data[-2] if path == CHAT else data[-1])
    assert reply.status_code == 200
    assert len(data) > 3
    assert "deadline-exceeded" in (last["error"]["code"] if path == CHAT else last["type"])
    await wait_for_running(graph, 0, FREE_S)


async def test_rejects_above_the_limit_and_answers_the_others(
    graph: Graph, async_client: httpx.AsyncClient
) -> None:
    body = {"text": "much joy", "max_tokens": 5}
    replies = await asyncio.gather(
        *(async_client.post(OWN, json=body) for _ in range(ADMITTED + 40))
    )
    refused = [reply for reply in replies if reply.status_code == 429]
    answered = [reply for reply in replies if reply.status_code == 200]
    assert len(answered) + len(refused) == len(replies)
    # Of those that are answered early, the slots are free for others.
    assert ADMITTED <= len(answered) <= ADMITTED + SLOTS
    assert all(1 <= int(reply.headers["retry-after"]) <= 60 for reply in refused)
    await wait_for_running(graph, 0, REFUSED_S)
    assert (await async_client.post(OWN, json=body)).status_code == 200


async def answered_in_s(client: aiohttp.ClientSession, url: str) -> float:
    began_s = time.monotonic()
    async with client.get(url) as reply:
        assert reply.status == 200
    return time.monotonic() - began_s


async def test_admission_rejects_a_flood_of_texts(
    graph: Graph,
) -> None:
    """The gate is full before Serve's own limit, so health checks are still answered."""
    refused, enough = list[int](), asyncio.Event()

    async def detect(client: aiohttp.ClientSession) -> int:
        async with client.post(f"{graph.url}/v1/detect", json={"text": "joy"}) as reply:
            if reply.status == 429:
                refused.append(int(reply.headers["retry-after"]))
                if len(refused) == MORE:
                    enough.set()
            return reply.status

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        flood: list[asyncio.Task[int]] = []
        with stopped_replica("Detector"):
            async with asyncio.timeout(REFUSED_S):
                while not enough.is_set():
                    flood.append(asyncio.create_task(detect(client)))
                    await asyncio.sleep(EACH_S)
            # A busy machine may not have taken in all of the flood yet.
            async with asyncio.timeout(REFUSED_S):
                last_s = deque([float(REFUSED_S)] * CHECKS, maxlen=CHECKS)
                while median(last_s) > ALIVE_S:
                    last_s.append(await answered_in_s(client, f"{graph.url}/healthz"))
        statuses = await asyncio.gather(*flood)
    assert set(statuses) == {200, 429}
    assert all(1 <= retry_after_s <= 60 for retry_after_s in refused)
