"""Deadlines and admission, on the running graph: what is given up is freed, what is refused is told when to return, nothing hangs."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil
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


@contextmanager
def detector_stopped() -> Iterator[None]:
    """A detector that reads nothing for a while, so that what is asked of it stays."""
    import ray

    [name] = [name for name in (actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True)) if "#Detector#" in name]
    process = psutil.Process(ray.get(ray.get_actor(name, namespace="serve").get_pid.remote()))
    process.suspend()
    try:
        yield
    finally:
        process.resume()


async def test_a_flood_of_single_texts_is_refused_by_the_gate_and_life_goes_on(graph: Graph, async_client: httpx.AsyncClient) -> None:
    limit, _ = derive_gates(ServeConfig()).texts
    assert await async_client.get("/healthz")
    with detector_stopped():
        flood = [asyncio.create_task(async_client.post("/v1/detect", json={"text": "joy"})) for _ in range(limit + 100)]
        done, _ = await asyncio.wait(flood, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 100:
            done, _ = await asyncio.wait(flood, timeout=0.1)
        began_s = time.monotonic()
        assert (await async_client.get("/healthz")).status_code == 200
        took_s = time.monotonic() - began_s
    replies = await asyncio.gather(*flood)
    print("healthz", took_s)
    refused = [reply for reply in replies if reply.status_code == 429]
    assert len(refused) == 100
    assert all(1 <= int(reply.headers["retry-after"]) <= 60 for reply in refused)
    assert {reply.status_code for reply in replies} == {200, 429}
    assert took_s < 0.5
