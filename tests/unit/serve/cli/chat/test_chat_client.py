"""Requests of the chat, and errors of the server as events."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from serve.cli.chat.client import open_client, stream_events
from serve.cli.keys import KEY_VARIABLE
from serve.errors import ConfigError

PROBLEM = {"type": "urn:face-your-emotions:overloaded", "detail": "too many"}
STREAM = (
    'event: emotion\r\ndata: {"label": "joy"}\r\n\r\n: ping\r\n\r\nevent: done\r\ndata: {}\r\n\r\n'
)


def client(handle: Callable[[httpx.Request], httpx.Response]) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url="http://test", transport=httpx.MockTransport(handle))


def refusing(headers: dict[str, str]) -> httpx.AsyncClient:
    headers = {"content-type": "application/problem+json", **headers}
    return client(lambda request: httpx.Response(429, headers=headers, json=PROBLEM))


@pytest.mark.parametrize("emotion", ["auto", "fear"])
async def test_sends_the_message_and_yields_the_streams_events(emotion: str) -> None:
    sent = list[Any]()

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append((request.method, request.url.path, json.loads(request.content)))
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=headers, text=STREAM)

    found = [(one.event, one.data) async for one in stream_events(client(handle), "hello", emotion)]
    assert found == [("emotion", '{"label": "joy"}'), ("done", "{}")]
    body = {"text": "hello", "emotion": emotion, "stream": True}
    assert sent == [("POST", "/v1/respond", body)]


@pytest.mark.parametrize(
    ("headers", "detail"), [({}, "too many"), ({"retry-after": "7"}, "too many (7 s)")]
)
async def test_an_error_reply_is_an_event_with_the_wait(
    headers: dict[str, str], detail: str
) -> None:
    [event] = [event async for event in stream_events(refusing(headers), "hello")]
    assert (event.event, json.loads(event.data)) == ("error", PROBLEM | {"detail": detail})


async def test_any_other_reply_is_an_event_with_its_status() -> None:
    """Ray Serve replies like this while the graph starts."""
    starting = client(lambda request: httpx.Response(404, text="Path not found"))
    [event] = [event async for event in stream_events(starting, "hello")]
    assert "404" in json.loads(event.data)["detail"]


@pytest.mark.parametrize("status", [200, 302, 502])
async def test_a_proxys_page_is_an_event(status: int) -> None:
    proxy = client(lambda request: httpx.Response(status, html="<html>sign in</html>"))
    [event] = [event async for event in stream_events(proxy, "hello")]
    assert event.event == "error"
    assert "the server replied" in json.loads(event.data)["detail"]


@pytest.mark.parametrize(
    ("key", "sent"), [(None, None), (" \n", None), ("fye-secret\n", "Bearer fye-secret")]
)
async def test_sends_the_key_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, key: str | None, sent: str | None
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    if key:
        monkeypatch.setenv(KEY_VARIABLE, key)
    async with open_client("localhost", 80) as opened:
        assert opened.headers.get("authorization") == sent


@pytest.mark.parametrize("odd", ["\u2011", "\u200b", "\x1b", "\n"])
def test_refuses_a_key_that_no_header_can_hold(monkeypatch: pytest.MonkeyPatch, odd: str) -> None:
    monkeypatch.setenv(KEY_VARIABLE, f"fye{odd}secret")
    with pytest.raises(ConfigError, match="FYE_KEY has a character"):
        open_client("localhost", 80)
