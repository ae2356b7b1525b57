"""Requests of the chat, and errors of the server as events."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from serve.cli.chat.client import KEY_VARIABLE, open_client, stream_events

PROBLEM = {"type": "urn:face-your-emotions:overloaded", "detail": "too many"}
STREAM = (
    'event: emotion\r\ndata: {"label": "joy"}\r\n\r\n: ping\r\n\r\nevent: done\r\ndata: {}\r\n\r\n'
)


def client(handle: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    return httpx.Client(base_url="http://test", transport=httpx.MockTransport(handle))


def refusing(headers: dict[str, str]) -> httpx.Client:
    headers = {"content-type": "application/problem+json", **headers}
    return client(lambda request: httpx.Response(429, headers=headers, json=PROBLEM))


@pytest.mark.parametrize("emotion", ["auto", "fear"])
def test_sends_the_message_and_yields_the_streams_events(emotion: str) -> None:
    sent = list[Any]()

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append((request.method, request.url.path, json.loads(request.content)))
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=headers, text=STREAM)

    found = [(one.event, one.data) for one in stream_events(client(handle), "hello", emotion)]
    assert found == [("emotion", '{"label": "joy"}'), ("done", "{}")]
    body = {"text": "hello", "emotion": emotion, "stream": True}
    assert sent == [("POST", "/v1/respond", body)]


@pytest.mark.parametrize(
    ("headers", "detail"), [({}, "too many"), ({"retry-after": "7"}, "too many (7 s)")]
)
def test_an_error_reply_is_an_event_with_the_wait(headers: dict[str, str], detail: str) -> None:
    [event] = stream_events(refusing(headers), "hello")
    assert (event.event, json.loads(event.data)) == ("error", PROBLEM | {"detail": detail})


def test_any_other_reply_is_an_event_with_its_status() -> None:
    """Ray Serve replies like this while the graph starts."""
    starting = client(lambda request: httpx.Response(404, text="Path not found"))
    [event] = stream_events(starting, "hello")
    assert "404" in json.loads(event.data)["detail"]


@pytest.mark.parametrize("status", [200, 302, 502])
def test_a_proxys_page_is_an_event(status: int) -> None:
    proxy = client(lambda request: httpx.Response(status, html="<html>sign in</html>"))
    [event] = stream_events(proxy, "hello")
    assert event.event == "error"
    assert "the server replied" in json.loads(event.data)["detail"]


@pytest.mark.parametrize("key", [None, "fye-secret"])
def test_sends_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    if key:
        monkeypatch.setenv(KEY_VARIABLE, key)
    with open_client("localhost", 80) as opened:
        assert opened.headers.get("authorization") == (f"Bearer {key}" if key else None)
