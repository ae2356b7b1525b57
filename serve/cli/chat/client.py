"""Requests of the chat: a message is sent, its events are yielded."""

import json
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse

from serve.cli.address import url_of
from serve.cli.keys import given_key

AUTO = "auto"
TIMEOUT_S = 120
EVENT_STREAM = "text/event-stream"
NO_MIX: Mapping[str, object] = MappingProxyType({})


def open_client(host: str, port: int) -> httpx.AsyncClient:
    """Return a client of the server, with the API key of FYE_KEY if it is set.

    Raises:
        ConfigError: the key is not valid.
    """
    key = given_key()
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.AsyncClient(base_url=url_of(host, port), timeout=TIMEOUT_S, headers=headers)


async def stream_events(
    client: httpx.AsyncClient, text: str, emotion: str = AUTO, mix: Mapping[str, object] = NO_MIX
) -> AsyncIterator[ServerSentEvent]:
    """Send a message and yield the server's events. An error reply becomes an `error` event.

    `mix` has the fields `blend` and `intensity` of the request, or none of them.

    Raises:
        httpx.TransportError: the connection cannot be made, or it was lost.
    """
    body = {"text": text, "emotion": emotion, "stream": True, **mix}
    async with aconnect_sse(client, "POST", "/v1/respond", json=body) as source:
        if not source.response.is_success:
            yield ServerSentEvent(event="error", data=await _problem(source.response))
            return
        kind = source.response.headers.get("content-type", "no content type")
        if not kind.startswith(EVENT_STREAM):
            detail = f"the server replied with {kind} in place of a stream; check the address"
            yield ServerSentEvent(event="error", data=json.dumps({"detail": detail}))
            return
        async for event in source.aiter_sse():
            yield event


async def _problem(response: httpx.Response) -> str:
    """Return the error as JSON, also if the reply comes from something else than the graph."""
    if response.headers.get("content-type") != "application/problem+json":
        status = response.status_code
        return json.dumps({"detail": f"the server replied {status}: it may still be starting"})
    await response.aread()
    problem = response.json()
    if wait_s := response.headers.get("retry-after"):
        problem["detail"] = f"{problem['detail']} ({wait_s} s)"
    return json.dumps(problem)
