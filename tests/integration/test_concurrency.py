"""Concurrent requests: each is answered by its own adapter with its own text."""

import asyncio
import itertools
import json
import time

import httpx

from models.emotions import LABELS

MANY = 50
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


async def test_concurrent_requests_use_their_own_adapters(
    async_client: httpx.AsyncClient,
) -> None:
    began_s = time.monotonic()
    ways = itertools.cycle([whole, streamed])
    answers = await asyncio.gather(
        *(way(async_client, text) for way, text in zip(ways, TEXTS, strict=False))
    )
    expected = [(f"[{text.split()[-1]}@scripted] I hear", len(text.split()) + 1) for text in TEXTS]
    assert answers == expected
    assert time.monotonic() - began_s < MANY * 3 * 0.2, "they were answered one after the other"


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
