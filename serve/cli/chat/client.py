"""Requests of the chat: a message is sent, its events are yielded."""

import json
import os
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import httpx
from httpx_sse import ServerSentEvent, connect_sse

from serve.cli.address import url_of

AUTO = "auto"
KEY_VARIABLE = "FYE_KEY"
TIMEOUT_S = 120
EVENT_STREAM = "text/event-stream"
NO_MIX: Mapping[str, object] = MappingProxyType({})


def open_client(host: str, port: int) -> httpx.Client:
    """Return a client of the server, with the API key of FYE_KEY if it is set."""
    key = os.environ.get(KEY_VARIABLE)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(base_url=url_of(host, port), timeout=TIMEOUT_S, headers=headers)


def stream_events(
    client: httpx.Client, text: str, emotion: str = AUTO, mix: Mapping[str, object] = NO_MIX
) -> Iterator[ServerSentEvent]:
    """Send a message and yield the server's events. An error reply becomes an `error` event.

    `mix` has the fields `blend` and `intensity` of the request, or none of them.

    Raises:
        httpx.TransportError: the connection cannot be made, or it was lost.
    """
    body = {"text": text, "emotion": emotion, "stream": True, **mix}
    with connect_sse(client, "POST", "/v1/respond", json=body) as source:
        if not source.response.is_success:
            yield ServerSentEvent(event="error", data=_problem(source.response))
            return
        kind = source.response.headers.get("content-type", "no content type")
        if not kind.startswith(EVENT_STREAM):
            detail = f"the server replied with {kind} in place of a stream; check the address"
            yield ServerSentEvent(event="error", data=json.dumps({"detail": detail}))
            return
        yield from source.iter_sse()


def _problem(response: httpx.Response) -> str:
    """Return the error as JSON, also if the reply comes from something else than the graph."""
    if response.headers.get("content-type") != "application/problem+json":
        status = response.status_code
        return json.dumps({"detail": f"the server replied {status}: it may still be starting"})
    response.read()
    problem = response.json()
    if wait_s := response.headers.get("retry-after"):
        problem["detail"] = f"{problem['detail']} ({wait_s} s)"
    return json.dumps(problem)
