"""Terminal client: bars and text of a reply, and every error in one line."""

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent
from rich.console import Console

from models.emotions import LABELS, Emotion
from models.personas import builtin_personas
from serve.cli import chat

SCORES = {"sadness": 0.0, "joy": 0.5, "love": 0.25, "anger": 0.25, "fear": 0.0, "surprise": 0.0}
DONE = {"usage": {"completion_tokens": 7}, "timings_ms": {"total": 1234.5}}
PROBLEM = {"type": "urn:face-your-emotions:invalid-request", "detail": "not [bold]valid[/nothing]"}
STREAM = (
    'event: emotion\r\ndata: {"label": "joy"}\r\n\r\n: ping\r\n\r\nevent: done\r\ndata: {}\r\n\r\n'
)


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    recording = Console(record=True, width=100, file=io.StringIO(), highlight=False)
    monkeypatch.setattr(chat, "console", recording)
    return recording


def event(name: str, **data: Any) -> ServerSentEvent:
    return ServerSentEvent(event=name, data=json.dumps(data))


def emotion(label: str) -> ServerSentEvent:
    return event("emotion", label=label, scores=SCORES)


def client(handle: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    return httpx.Client(base_url="http://test", transport=httpx.MockTransport(handle))


def test_shows_bars_then_name_and_text_then_cost(console: Console) -> None:
    deltas = [event("delta", text="You"), event("delta", text=" did!")]
    chat.show(iter([emotion("joy"), *deltas, event("done", **DONE)]))
    *bars, reply, cost = [line for line in console.export_text().splitlines() if line.strip()]
    assert [line.split()[0] for line in bars] == list(LABELS)
    assert reply == f"{builtin_personas()[Emotion.JOY].emoji} Joy > You did!"
    assert cost == "7 tokens, 1.2 s"


def test_reply_has_the_personas_colour(console: Console) -> None:
    chat.show(iter([emotion("anger"), event("delta", text="Enough!")]))
    colour = builtin_personas()[Emotion.ANGER].colour
    html = console.export_html(inline_styles=True)
    assert f'<span style="color: {colour}; text-decoration-color: {colour}">Enough!</span>' in html


def test_never_interprets_text_as_markup(console: Console) -> None:
    delta = event("delta", text="[/] [red]a[/red] \\")
    chat.show(iter([emotion("joy"), delta, event("error", **PROBLEM)]))
    text = console.export_text()
    assert "[/] [red]a[/red] \\" in text
    assert "not [bold]valid[/nothing]" in text


def test_bar_length_follows_the_score_and_is_never_empty(console: Console) -> None:
    console.print(chat.bars(SCORES))
    lines = {line.split()[0]: line.split()[1:] for line in console.export_text().splitlines()}
    assert lines["joy"] == ["\u2588" * (chat.BAR_WIDTH // 2), "50%"]
    assert lines["love"] == ["\u2588" * (chat.BAR_WIDTH // 4), "25%"]
    assert lines["fear"] == ["\u258f", "0%"]


def test_sends_the_message_and_yields_the_streams_events() -> None:
    sent = list[Any]()

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append((request.method, request.url.path, json.loads(request.content)))
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=headers, text=STREAM)

    found = [(one.event, one.data) for one in chat.stream_events(client(handle), "hello")]
    assert found == [("emotion", '{"label": "joy"}'), ("done", "{}")]
    assert sent == [("POST", "/v1/respond", {"text": "hello", "stream": True})]


def test_shows_the_detail_of_an_error_reply(console: Console) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        headers = {"content-type": "application/problem+json"}
        return httpx.Response(422, headers=headers, json=PROBLEM)

    chat.show(chat.stream_events(client(handle), "hello"))
    assert console.export_text().strip() == PROBLEM["detail"]


def test_shows_the_status_of_any_other_reply(console: Console) -> None:
    """Ray Serve replies like this while the graph starts."""
    starting = client(lambda request: httpx.Response(404, text="Path not found"))
    chat.show(chat.stream_events(starting, "hello"))
    assert "404" in console.export_text()


@pytest.mark.parametrize(
    ("error", "phrase"),
    [
        (httpx.ConnectError("refused"), "Cannot connect to here:81"),
        (httpx.RemoteProtocolError("cut"), "Lost the connection to here:81"),
    ],
)
def test_lost_server_ends_the_chat_with_status_1(
    console: Console, monkeypatch: pytest.MonkeyPatch, error: httpx.TransportError, phrase: str
) -> None:
    def fail(client: httpx.Client, text: str) -> Iterator[ServerSentEvent]:
        raise error

    monkeypatch.setattr(chat, "stream_events", fail)
    monkeypatch.setattr(console, "input", lambda prompt: "hello")
    assert chat.chat("here", 81) == 1
    assert phrase in console.export_text()


@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt, None])
def test_empty_line_or_end_of_input_ends_the_chat_with_status_0(
    console: Console, monkeypatch: pytest.MonkeyPatch, end: type[BaseException] | None
) -> None:
    def read_line(prompt: str) -> str:
        if end:
            raise end
        return "  "

    monkeypatch.setattr(console, "input", read_line)
    assert chat.chat("here", 81) == 0
