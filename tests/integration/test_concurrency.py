"""Concurrent requests: each is answered by its own adapter with its own text."""

import asyncio
import itertools
import json
from contextlib import suppress

import httpx

from models.emotions import LABELS
from support.running_graph import POLL_S, Graph

MANY = 50
AT_ONCE = 8  # of the 32 slots; the machine may be too busy for all
TEXTS = [
    f"{'so ' * (number % 7)}much {label}"
    for number, label in zip(range(MANY), itertools.cycle(LABELS), strict=False)
]


async def whole(client: httpx.AsyncClient, text: str) -> tuple[str, int]:
    body = (await client.post("/v1/respond", json={"text": text, "max_tokens": 3})).json()
    return body["text"], body["usage"]["prompt_tokens"]


async def streamed(client: httpx.AsyncClient, text: str) -> tuple[str, int]:
    reply = await client.post("/v1/respond", json={"text": text, "max_tokens": 3, "stream": True})
    data = [
        json.loads(line.removeprefix("data: "))
        for line in reply.text.splitlines()
        if line.startswith("data: ")
    ]
    return "".join(event["text"] for event in data if "text" in event), data[-1]["usage"][
        "prompt_tokens"
    ]


async def most_running(graph: Graph) -> int:
    """Return how many replies were generated at once until it was cancelled."""
    most = 0
    with suppress(asyncio.CancelledError):
        while True:
            most = max(most, await asyncio.to_thread(graph.running))
            await asyncio.sleep(POLL_S)
    return most


async def test_concurrent_requests_use_their_own_adapters(
    graph: Graph,
    async_client: httpx.AsyncClient,
) -> None:
    watching = asyncio.create_task(most_running(graph))
    ways = itertools.cycle([whole, streamed])
    answers = await asyncio.gather(
        *(way(async_client, text) for way, text in zip(ways, TEXTS, strict=False))
    )
    expected = [(f"[{text.split()[-1]}@scripted] I hear", len(text.split()) + 1) for text in TEXTS]
    assert answers == expected
    watching.cancel()
    assert await watching > AT_ONCE, "they were not answered at the same time"


async def test_concurrent_detections_keep_their_order(
    async_client: httpx.AsyncClient,
) -> None:
    rotated = [TEXTS[number:] + TEXTS[:number] for number in range(8)]
    replies = await asyncio.gather(
        *(async_client.post("/v1/detect", json={"text": texts}) for texts in rotated)
    )
    for texts, reply in zip(rotated, replies, strict=True):
        assert [result["label"] for result in reply.json()["results"]] == [
            text.split()[-1] for text in texts
        ]
