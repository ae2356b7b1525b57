"""Replicas die while they work: what had begun ends with an error that says so, all else is answered, nobody is left hanging."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from httpx_sse import aconnect_sse
from support.running_graph import Graph, kill_replica, wait_for_running

from models.emotions import LABELS

BODY = {"text": "much love", "max_tokens": 20}


async def streamed(client: httpx.AsyncClient, writing: asyncio.Barrier) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream; everyone meets at the barrier after the first text."""
    events: list[tuple[str, dict[str, Any]]] = []
    async with aconnect_sse(client, "POST", "/v1/respond", json=BODY | {"stream": True}) as source:
        async for event in source.aiter_sse():
            events.append((event.event, json.loads(event.data)))
            if [name for name, _ in events] == ["emotion", "delta"]:
                await writing.wait()
    return events


def ending(events: list[tuple[str, dict[str, Any]]]) -> str:
    """The error that a stream ended with after some of its text."""
    assert any(name == "delta" for name, _ in events)
    name, data = events[-1]
    assert name == "error", events[-1]
    return str(data["type"]).removeprefix("urn:face-your-emotions:")


@pytest.mark.parametrize("stage", ["Responder", "Ingress"])
async def test_a_replica_dies_under_load(graph: Graph, async_client: httpx.AsyncClient, stage: str) -> None:
    writing = asyncio.Barrier(13)
    begun = [asyncio.create_task(streamed(async_client, writing)) for _ in range(12)]
    await writing.wait()
    await asyncio.to_thread(kill, stage)
    later = await asyncio.gather(*(async_client.post("/v1/respond", json=BODY) for _ in range(12)))
    assert [reply.status_code for reply in later] == [200] * 12
    assert {ending(events) for events in await asyncio.gather(*begun)} == {"replica-lost"}
    await wait_for_running(graph, 0, 2)


@pytest.mark.parametrize("stage", ["Responder", "Ingress"])
async def test_a_whole_answer_that_was_being_written_is_begun_again(graph: Graph, async_client: httpx.AsyncClient, stage: str) -> None:
    asked = [asyncio.create_task(async_client.post("/v1/respond", json=BODY)) for _ in range(6)]
    await wait_for_running(graph, 6, 2)
    await asyncio.sleep(1)
    await asyncio.to_thread(kill, stage)
    replies = await asyncio.gather(*asked)
    assert [(reply.status_code, reply.json()["usage"]["completion_tokens"]) for reply in replies] == [(200, 20)] * 6
    await wait_for_running(graph, 0, 2)


async def test_a_detector_dies_and_nobody_notices(graph: Graph, async_client: httpx.AsyncClient) -> None:
    asked = [asyncio.create_task(async_client.post("/v1/respond", json={"text": f"so much {label}", "max_tokens": 4})) for label in LABELS]
    await asyncio.to_thread(kill, "Detector")
    asked += [asyncio.create_task(async_client.post("/v1/detect", json={"text": [f"so much {label}"] * 5})) for label in LABELS]
    replies = await asyncio.gather(*asked)
    assert [reply.status_code for reply in replies] == [200] * 12
    assert [reply.json()["persona"] for reply in replies[:6]] == list(LABELS)
    assert [{result["label"] for result in reply.json()["results"]} for reply in replies[6:]] == [{label} for label in LABELS]


async def test_the_directory_dies_and_answers_go_on_as_before(graph: Graph, async_client: httpx.AsyncClient) -> None:
    await asyncio.to_thread(kill, "AdapterController")
    reply = await async_client.post("/v1/respond", json=BODY)
    assert (reply.status_code, reply.json()["adapter"]) == (200, "love@scripted")
    listed = await async_client.get("/v1/admin/adapters")
    assert {version["name"] for version in listed.json() if version["answers"]} == {f"{label}@scripted" for label in LABELS}


@pytest.mark.parametrize("stage", ["Responder", "Detector"])
async def test_with_too_little_time_to_come_back_it_is_late_and_not_hanging(
    graph: Graph, async_client: httpx.AsyncClient, stage: str
) -> None:
    await asyncio.to_thread(kill, stage)
    reply = await async_client.post("/v1/respond", json=BODY, headers={"x-request-timeout-ms": "300"})
    assert reply.status_code == 504
    assert (await async_client.post("/v1/respond", json=BODY)).status_code == 200
