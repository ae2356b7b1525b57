"""The chat: its commands, its history, and how it ends."""

import io
import json
from collections.abc import Iterator

import httpx
import pytest
from httpx_sse import ServerSentEvent
from rich.console import Console

from models.emotions import LABELS
from serve.cli.chat import session
from serve.cli.chat.session import Session

DONE = {"usage": {"completion_tokens": 2}, "timings_ms": {"total": 5}}


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    recording = Console(record=True, width=100, file=io.StringIO(), highlight=False)
    monkeypatch.setattr(session, "console", recording)
    return recording


def _mix(body: dict[str, object]) -> str:
    fields = {name: body[name] for name in ("blend", "intensity") if name in body}
    return f" with {fields}" if fields else ""


@pytest.fixture
def chatting(console: Console) -> Session:
    """Session with a server that answers as the chosen emotion, or as joy."""

    def handle(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        label = "joy" if body["emotion"] == "auto" else body["emotion"]
        scores = {name: float(name == label) for name in LABELS}
        events = [
            ("emotion", {"label": label, "score": 1.0, "scores": scores}),
            ("delta", {"text": f"{label} hears [{body['text']}]{_mix(body)}"}),
            ("done", DONE),
        ]
        text = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, text=text)

    transport = httpx.MockTransport(handle)
    return Session(httpx.Client(base_url="http://test", transport=transport))


def test_all_shows_the_answers_of_the_six_in_order(console: Console, chatting: Session) -> None:
    chatting.take("/all it rains")
    lines = [line for line in console.export_text().splitlines() if "hears" in line]
    assert [line.split(" > ")[1] for line in lines] == [
        f"{label} hears [it rains]" for label in LABELS
    ]


def test_all_alone_asks_about_the_last_message(console: Console, chatting: Session) -> None:
    chatting.take("/all")
    assert "no message yet" in console.export_text()
    chatting.take("it rains")
    chatting.take("/all")
    assert "fear hears [it rains]" in console.export_text()
    assert [(text, len(replies)) for text, replies in chatting.history] == [
        ("it rains", 1),
        ("it rains", len(LABELS)),
    ]


def test_history_shows_what_was_said(console: Console, chatting: Session) -> None:
    chatting.take("[bold]one[/]")
    chatting.take("two")
    console.export_text()
    chatting.take("/history")
    assert console.export_text().splitlines() == [
        "You > [bold]one[/]",
        "Joy > joy hears [[bold]one[/]]",
        "You > two",
        "Joy > joy hears [two]",
    ]


@pytest.mark.parametrize(("line", "shown"), [("/help", "/all TEXT"), ("/mix", "/help lists")])
def test_other_commands_send_nothing(
    console: Console, chatting: Session, line: str, shown: str
) -> None:
    chatting.take(line)
    assert shown in console.export_text()
    assert chatting.history == []


@pytest.mark.parametrize(
    ("error", "phrase"),
    [
        (httpx.ConnectError("refused"), "Cannot connect to here:81"),
        (httpx.ConnectTimeout("slow"), "Cannot connect to here:81"),
        (httpx.RemoteProtocolError("cut"), "Lost the connection to here:81"),
        (httpx.ReadTimeout("slow"), "here:81 timed out after 120 s"),
    ],
)
def test_lost_server_ends_the_chat_with_status_1(
    console: Console, monkeypatch: pytest.MonkeyPatch, error: httpx.TransportError, phrase: str
) -> None:
    def fail(client: httpx.Client, text: str, **_: object) -> Iterator[ServerSentEvent]:
        raise error

    monkeypatch.setattr(session, "stream_events", fail)
    monkeypatch.setattr(console, "input", lambda prompt: "hello")
    assert session.chat("here", 81) == 1
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
    assert session.chat("here", 81) == 0


def test_a_mix_is_used_until_it_is_ended(console: Console, chatting: Session) -> None:
    for line in ("/blend joy 0.7 fear 0.3", "/intensity 1.2", "one", "/blend", "two", "/intensity"):
        chatting.take(line)
    chatting.take("three")
    lines = [line for line in console.export_text().splitlines() if "hears" in line]
    assert [line.partition("]")[2] for line in lines] == [
        " with {'blend': {'joy': 0.7, 'fear': 0.3}, 'intensity': 1.2}",
        " with {'intensity': 1.2}",
        "",
    ]


def test_each_of_the_six_answers_alone_at_the_intensity(
    console: Console, chatting: Session
) -> None:
    for line in ("/blend joy 0.7 fear 0.3", "/intensity 0.5", "/all it rains"):
        chatting.take(line)
    text = console.export_text()
    assert text.count("hears [it rains] with {'intensity': 0.5}") == len(LABELS)


@pytest.mark.parametrize(
    "line",
    [
        "/blend joy",
        "/blend joy much",
        "/blend joy nan",
        "/blend joy inf",
        "/blend joy -1",
        "/blend joy 1001",
        "/intensity high",
        "/intensity 1 2",
        "/intensity nan",
        "/intensity inf",
        "/intensity -0.1",
        "/intensity 1.6",
    ],
)
def test_a_mix_that_is_not_understood_changes_nothing(
    console: Console, chatting: Session, line: str
) -> None:
    chatting.take("/intensity 0.5")
    chatting.take(line)
    assert "is not understood" in console.export_text()
    assert chatting.mix == {"intensity": 0.5}
