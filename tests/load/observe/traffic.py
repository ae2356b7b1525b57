"""Light load of every kind that a panel counts: answers, detections, refusals and errors.

A round sends each kind once and, to be rejected in part, a burst that is larger than the queue.
"""

import asyncio
from collections.abc import Awaitable

import httpx

from models.emotions import LABELS

BURST = 16
SHORT_MS = "1"  # no answer is that fast
TIMEOUT_S = 60
CRISIS = "self-harm: I want to kill myself tonight"  # to scripted and real detectors


async def send_round(client: httpx.AsyncClient) -> dict[str, list[int]]:
    """Send one round. Returns the statuses of the replies by kind."""
    kinds: dict[str, list[Awaitable[int]]] = {
        "answers": [_respond(client, f"such {label}") for label in LABELS],
        "streams": [_respond(client, "such joy", stream=True)],
        "base model": [_chat(client, "base")],
        "no adapter": [_respond(client, "such joy", intensity=0)],
        "one candidate": [_respond(client, "such joy", temperature=0)],
        "crisis": [_respond(client, CRISIS)],
        "concern": [_respond(client, "a concern")],
        "unknown persona": [_respond(client, "such joy", emotion="unheardof")],
        "timeout": [_respond(client, "such love", timeout_ms=SHORT_MS)],
        "detections": [_post(client, "/v1/detect", {"text": ["such joy", "such fear"]})],
        "chat": [_chat(client, "auto")],
        "administration": [_get(client, "/v1/admin/adapters")],
        "disconnect": [_disconnect(client)],
    }
    found = {}
    for kind, calls in kinds.items():
        found[kind] = [await call for call in calls]
    burst = [_respond(client, "such anger") for _ in range(BURST)]
    return found | {"burst": list(await asyncio.gather(*burst))}


async def _respond(
    client: httpx.AsyncClient, text: str, timeout_ms: str | None = None, **more: object
) -> int:
    headers = {"x-request-timeout-ms": timeout_ms} if timeout_ms else {}
    return await _post(client, "/v1/respond", {"text": text, **more}, headers)


async def _post(
    client: httpx.AsyncClient, path: str, body: object, headers: dict[str, str] | None = None
) -> int:
    return (await client.post(path, json=body, headers=headers)).status_code


async def _chat(client: httpx.AsyncClient, model: str) -> int:
    body = {"model": model, "messages": [{"role": "user", "content": "such fear"}]}
    return await _post(client, "/v1/chat/completions", body)


async def _get(client: httpx.AsyncClient, path: str) -> int:
    return (await client.get(path)).status_code


async def _disconnect(client: httpx.AsyncClient) -> int:
    """Close a stream after its first line."""
    body = {"text": "such surprise", "stream": True, "temperature": 0}
    async with client.stream("POST", "/v1/respond", json=body) as reply:
        async for _ in reply.aiter_lines():
            break
        return reply.status_code
