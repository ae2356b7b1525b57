"""The terminal client: bars as soon as the emotion is known, then the answer; every refusal in plain words."""

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent
from rich.console import Console

from models.emotions import LABELS
from models.personas import builtin_personas
from serve.cli import chat

SCORES = {"sadness": 0.0, "joy": 0.5, "love": 0.25, "anger": 0.25, "fear": 0.0, "surprise": 0.0}
DONE = {"usage": {"completion_tokens": 7}, "timings_ms": {"total": 1234.5}}
PROBLEM = {"type": "urn:face-your-emotions:invalid-request", "detail": "not [bold]valid[/nothing]"}


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    recording = Console(record=True, width=100, file=io.StringIO(), highlight=False)
    monkeypatch.setattr(chat, "console", recording)
    return recording


def event(name: str, **data: Any) -> ServerSentEvent:
    return ServerSentEvent(event=name, data=json.dumps(data))


def client(handle: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    return httpx.Client(base_url="http://test", transport=httpx.MockTransport(handle))


def test_an_answer_is_bars_then_a_name_then_its_text_then_its_cost(console: Console) -> None:
    chat.show(
        iter(
            [event("emotion", label="joy", scores=SCORES), event("delta", text="You"), event("delta", text=" did!"), event("done", **DONE)]
        )
    )
    *bars, answer, cost = [line for line in console.export_text().splitlines() if line.strip()]
    assert [line.split()[0] for line in bars] == list(LABELS)
    assert answer == f"{builtin_personas()[LABELS[1]].emoji} Joy > You did!"
    assert cost == "7 tokens, 1.2 s"


def test_the_answer_is_in_the_personas_colour(console: Console) -> None:
    chat.show(iter([event("emotion", label="anger", scores=SCORES), event("delta", text="Enough!")]))
    colour = builtin_personas()[LABELS[3]].colour
    assert f'<span style="color: {colour}; text-decoration-color: {colour}">Enough!</span>' in console.export_html(inline_styles=True)


def test_what_is_written_is_never_read_as_markup(console: Console) -> None:
    chat.show(iter([event("emotion", label="joy", scores=SCORES), event("delta", text="[/] [red]a[/red] \\"), event("error", **PROBLEM)]))
    text = console.export_text()
    assert "[/] [red]a[/red] \\" in text
    assert "not [bold]valid[/nothing]" in text


def test_a_bar_is_as_long_as_its_score_and_never_empty(console: Console) -> None:
    console.print(chat.bars(SCORES))
    lines = {line.split()[0]: line.split()[1:] for line in console.export_text().splitlines()}
    assert lines["joy"] == ["\u2588" * (chat.BAR_WIDTH // 2), "50%"]
    assert lines["love"] == ["\u2588" * (chat.BAR_WIDTH // 4), "25%"]
    assert lines["fear"] == ["\u258f", "0%"]


def test_a_message_is_sent_as_a_stream_and_its_events_come_back() -> None:
    sent: list[Any] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append((request.method, request.url.path, json.loads(request.content)))
        body = 'event: emotion\r\ndata: {"label": "joy"}\r\n\r\n: ping\r\n\r\nevent: done\r\ndata: {}\r\n\r\n'
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, text=body)

    found = [(each.event, each.data) for each in chat.events(client(handle), "hello")]
    assert found == [("emotion", '{"label": "joy"}'), ("done", "{}")]
    assert sent == [("POST", "/v1/respond", {"text": "hello", "stream": True})]


def test_a_refusal_is_shown_with_its_detail(console: Console) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(422, headers={"content-type": "application/problem+json"}, json=PROBLEM)

    chat.show(chat.events(client(handle), "hello"))
    assert console.export_text().strip() == PROBLEM["detail"]


def test_an_answer_that_is_no_problem_at_all_is_shown_in_words(console: Console) -> None:
    """As Serve answers while the graph starts."""
    chat.show(chat.events(client(lambda request: httpx.Response(404, text="Path not found")), "hello"))
    assert console.export_text().strip() == "the server answered 404: it may still be starting"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httpx.ConnectError("refused"), "Nobody answers at here:81"),
        (httpx.RemoteProtocolError("cut"), "The connection to here:81 was lost"),
    ],
)
def test_a_server_that_is_gone_ends_the_chat_with_a_sentence(
    console: Console, monkeypatch: pytest.MonkeyPatch, error: httpx.TransportError, words: str
) -> None:
    def gone(client: httpx.Client, text: str) -> Iterator[ServerSentEvent]:
        raise error

    monkeypatch.setattr(chat, "events", gone)
    monkeypatch.setattr(console, "input", lambda prompt: "hello")
    assert chat.chat("here", 81) == 1
    assert words in console.export_text()


@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt, None])
def test_an_empty_line_or_the_end_of_input_ends_the_chat_well(
    console: Console, monkeypatch: pytest.MonkeyPatch, end: type[BaseException] | None
) -> None:
    def read(prompt: str) -> str:
        if end:
            raise end
        return "  "

    monkeypatch.setattr(console, "input", read)
    assert chat.chat("here", 81) == 0
