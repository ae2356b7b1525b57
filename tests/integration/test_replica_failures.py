"""Replicas die while they work: started streams are cut, everything else is answered."""

import asyncio
from typing import Any

import httpx
import pytest
from httpx_sse import aconnect_sse

from models.emotions import LABELS
from support.running_graph import Graph, kill_replica, stopped_replica, wait_for_running

BODY = {"text": "much love", "max_tokens": 20}
STARTED = ["emotion", "delta"]
IN_FLIGHT_S = 2.0  # until calls have reached the detector; less than before a hedge


async def read_stream(
    client: httpx.AsyncClient, writing: asyncio.Barrier, events: list[str]
) -> None:
    """Append the events of a stream; meet the others after the first text."""
    async with aconnect_sse(client, "POST", "/v1/respond", json=BODY | {"stream": True}) as source:
        async for event in source.aiter_sse():
            events.append(event.event)
            if events == STARTED:
                await writing.wait()


async def read_cut_stream(client: httpx.AsyncClient, writing: asyncio.Barrier) -> list[str]:
    """Return the events of a stream whose connection is cut."""
    events: list[str] = []
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        await read_stream(client, writing, events)
    return events


async def test_started_streams_are_cut_and_later_requests_are_answered(
    graph: Graph, async_client: httpx.AsyncClient
) -> None:
    writing = asyncio.Barrier(13)
    streams = [asyncio.create_task(read_cut_stream(async_client, writing)) for _ in range(12)]
    await writing.wait()
    await asyncio.to_thread(kill_replica, "Responder")
    later = await asyncio.gather(*(async_client.post("/v1/respond", json=BODY) for _ in range(12)))
    assert [reply.status_code for reply in later] == [200] * 12
    for events in await asyncio.gather(*streams):
        assert events[:2] == STARTED
        assert "done" not in events
    await wait_for_running(graph, 0, 2)


async def test_whole_answers_are_repeated_when_their_replica_dies(
    graph: Graph, async_client: httpx.AsyncClient
) -> None:
    asked = [asyncio.create_task(async_client.post("/v1/respond", json=BODY)) for _ in range(6)]
    await wait_for_running(graph, 6, 4)
    await asyncio.sleep(1)
    await asyncio.to_thread(kill_replica, "Responder")
    replies = await asyncio.gather(*asked)
    tokens = [reply.json()["usage"]["completion_tokens"] for reply in replies]
    assert [reply.status_code for reply in replies] == [200] * 6
    assert tokens == [20] * 6
    await wait_for_running(graph, 0, 2)


async def test_answers_continue_when_a_detector_dies(
    graph: Graph, async_client: httpx.AsyncClient
) -> None:
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("/v1/respond", {"text": f"so much {label}", "max_tokens": 4}) for label in LABELS
    ]
    bodies += [("/v1/detect", {"text": [f"so much {label}"] * 5}) for label in LABELS]
    with stopped_replica("Detector") as detector:
        asked = [asyncio.create_task(async_client.post(path, json=body)) for path, body in bodies]
        _, waiting = await asyncio.wait(asked, timeout=IN_FLIGHT_S)
        assert len(waiting) == len(asked), "the detector is stopped, so every call waits for it"
        detector.kill()
    replies = await asyncio.gather(*asked)
    assert [reply.status_code for reply in replies] == [200] * 12
    assert [reply.json()["persona"] for reply in replies[:6]] == list(LABELS)
    for label, reply in zip(LABELS, replies[6:], strict=True):
        assert {result["label"] for result in reply.json()["results"]} == {label}


async def test_answers_continue_when_the_adapter_controller_dies(
    graph: Graph, async_client: httpx.AsyncClient
) -> None:
    await asyncio.to_thread(kill_replica, "AdapterController")
    reply = await async_client.post("/v1/respond", json=BODY)
    assert (reply.status_code, reply.json()["adapter"]) == (200, "love@scripted")
    listed = (await async_client.get("/v1/admin/adapters")).json()
    promoted = {version["name"] for version in listed if version["promoted"]}
    assert promoted == {f"{label}@scripted" for label in LABELS}


@pytest.mark.parametrize("deployment", ["Responder", "Detector"])
async def test_a_request_times_out_when_no_replica_comes_back_in_time(
    graph: Graph, async_client: httpx.AsyncClient, deployment: str
) -> None:
    await asyncio.to_thread(kill_replica, deployment)
    reply = await async_client.post(
        "/v1/respond", json=BODY, headers={"x-request-timeout-ms": "300"}
    )
    assert (reply.status_code, "deadline-exceeded" in reply.text) == (504, True)
    assert (await async_client.post("/v1/respond", json=BODY)).status_code == 200


async def test_a_poisonous_request_crashes_at_most_two_replicas(
    graph: Graph, async_client: httpx.AsyncClient
) -> None:
    """Each attempt is killed as soon as it runs; the third one is not made."""
    request = asyncio.create_task(
        async_client.post("/v1/respond", json=BODY, headers={"x-request-timeout-ms": "60000"})
    )
    for _ in range(2):
        await wait_for_running(graph, 1, 30)
        await asyncio.to_thread(kill_replica, "Responder")
    reply = await request
    assert reply.status_code == 502, reply.text
    assert "replica-failed" in reply.text
    assert (await async_client.post("/v1/respond", json=BODY)).status_code == 200
