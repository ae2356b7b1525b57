"""Deadlines and admission, on the running graph: what is given up is freed, what is refused is told when to return, nothing hangs."""

import asyncio
import json
import time

import httpx
import pytest

from running_graph import Graph, until_running
from serve.config import ServeConfig
from serve.limits import derive_gates

OWN, CHAT = "/v1/respond", "/v1/chat/completions"
BODIES = {OWN: {"text": "such sadness"}, CHAT: {"messages": [{"role": "user", "content": "such sadness"}]}}
PATHS = pytest.mark.parametrize("path", [OWN, CHAT])
SOON = {"x-request-timeout-ms": "700"}  # a whole answer takes more than four seconds
FREE_S = 1.0


@PATHS
async def test_a_whole_answer_that_is_late_is_given_up_and_frees_the_responder(
    graph: Graph, async_client: httpx.AsyncClient, path: str
) -> None:
    began_s = time.monotonic()
    reply = await async_client.post(path, json=BODIES[path], headers=SOON)
    assert time.monotonic() - began_s < 0.7 + FREE_S
    assert (reply.status_code, "deadline-exceeded" in reply.text) == (504, True)
    await until_running(graph, 0, FREE_S)


@PATHS
async def test_a_late_stream_ends_with_an_error_that_says_so(graph: Graph, async_client: httpx.AsyncClient, path: str) -> None:
    reply = await async_client.post(path, json=BODIES[path] | {"stream": True}, headers=SOON)
    data = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: ")]
    last = json.loads(data[-2] if path == CHAT else data[-1])
    assert reply.status_code == 200
    assert len(data) > 3
    assert "deadline-exceeded" in (last["error"]["code"] if path == CHAT else last["type"])
    await until_running(graph, 0, FREE_S)


async def test_over_the_limit_is_429_and_everyone_else_is_answered(graph: Graph, async_client: httpx.AsyncClient) -> None:
    limit, _ = derive_gates(ServeConfig()).answers
    body = {"text": "much joy", "max_tokens": 5}
    replies = await asyncio.gather(*(async_client.post(OWN, json=body) for _ in range(limit + 40)))
    refused = [reply for reply in replies if reply.status_code == 429]
    answered = [reply for reply in replies if reply.status_code == 200]
    assert len(answered) + len(refused) == len(replies)
    assert len(answered) >= limit
    assert refused
    assert all(1 <= int(reply.headers["retry-after"]) <= 60 for reply in refused)
    await until_running(graph, 0, FREE_S)
    assert (await async_client.post(OWN, json=body)).status_code == 200
