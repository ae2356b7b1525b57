"""The chat: its commands, its history, and how it ends."""

import asyncio
import io
import json
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
from httpx_sse import ServerSentEvent
from rich.console import Console

from models.emotions import LABELS
from serve.cli.chat import session
from serve.cli.chat.session import Session
from serve.cli.keys import KEY_VARIABLE

DONE = {"usage": {"completion_tokens": 2}, "timings_ms": {"total": 5}}


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    recording = Console(record=True, width=100, file=io.StringIO(), highlight=False)
    monkeypatch.setattr(session, "console", recording)
    return recording


def _mix(body: dict[str, object]) -> str:
    fields = {name: body[name] for name in ("blend", "intensity") if name in body}
    return f" with {fields}" if fields else ""


def answer(request: httpx.Request) -> httpx.Response:
    """Answer as the chosen emotion, or as joy."""
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


def client_of(server: httpx.MockTransport) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url="http://test", transport=server)


@pytest.fixture
def chatting(console: Console) -> Session:
    return Session(client_of(httpx.MockTransport(answer)))


@pytest.fixture
def type_lines(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Function that makes lines the input of the chat, and returns the prompts."""

    def type_them(*lines: str | type[BaseException]) -> list[str]:
        rest, prompts = iter(lines), list[str]()

        def read_line(prompt: str) -> str:
            prompts.append(prompt)
            line = next(rest, "")
            if isinstance(line, str):
                return line
            raise line

        monkeypatch.setattr("builtins.input", read_line)
        return prompts

    return type_them


async def test_all_shows_the_answers_of_the_six_in_order(
    console: Console, chatting: Session
) -> None:
    await chatting.take("/all it rains")
    lines = [line for line in console.export_text().splitlines() if "hears" in line]
    assert [line.split(" > ")[1] for line in lines] == [
        f"{label} hears [it rains]" for label in LABELS
    ]


async def test_all_alone_asks_about_the_last_message(console: Console, chatting: Session) -> None:
    await chatting.take("/all")
    assert "no message yet" in console.export_text()
    await chatting.take("it rains")
    await chatting.take("/all")
    assert "fear hears [it rains]" in console.export_text()
    assert [(text, len(replies)) for text, replies in chatting.history] == [
        ("it rains", 1),
        ("it rains", len(LABELS)),
    ]


async def test_history_shows_what_was_said(console: Console, chatting: Session) -> None:
    await chatting.take("[bold]one[/]")
    await chatting.take("two")
    console.export_text()
    await chatting.take("/history")
    assert console.export_text().splitlines() == [
        "You > [bold]one[/]",
        "Joy > joy hears [[bold]one[/]]",
        "You > two",
        "Joy > joy hears [two]",
    ]


@pytest.mark.parametrize(("line", "shown"), [("/help", "/all TEXT"), ("/mix", "/help lists")])
async def test_other_commands_send_nothing(
    console: Console, chatting: Session, line: str, shown: str
) -> None:
    await chatting.take(line)
    assert shown in console.export_text()
    assert chatting.history == []


@pytest.mark.parametrize("line", ["hello", "/all hello"])
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
    console: Console,
    monkeypatch: pytest.MonkeyPatch,
    type_lines: Callable[..., list[str]],
    error: httpx.TransportError,
    phrase: str,
    line: str,
) -> None:
    async def fail(*_: object, **__: object) -> AsyncIterator[ServerSentEvent]:
        raise error
        yield  # it is a generator

    monkeypatch.setattr(session, "stream_events", fail)
    type_lines(line)
    assert session.chat("here", 81) == 1
    assert phrase in console.export_text()


@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt, "  "])
def test_empty_line_or_end_of_input_ends_the_chat_with_status_0(
    console: Console,
    type_lines: Callable[..., list[str]],
    end: type[BaseException] | str,
) -> None:
    prompts = type_lines("/help", end)
    assert session.chat("here", 81) == 0
    assert prompts == ["You > "] * 2


def test_readline_counts_the_cells_of_the_prompt_alone(
    monkeypatch: pytest.MonkeyPatch, console: Console
) -> None:
    """What stands between the two marks has no width."""
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stdout", Terminal())
    prompt = session._prompt()
    assert "\x1b[1m" in prompt
    assert re.sub("\1[^\2]*\2", "", prompt) == "You > "


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_key_that_no_header_can_hold_ends_the_chat_before_it_begins(
    console: Console, monkeypatch: pytest.MonkeyPatch, type_lines: Callable[..., list[str]]
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "fye-\u2011")
    prompts = type_lines()
    assert session.chat("here", 81) == 1
    assert "copy the key again" in console.export_text()
    assert prompts == []


def test_bytes_that_are_no_text_do_not_end_the_chat(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "open_client", lambda *_: client_of(httpx.MockTransport(answer)))
    typed = io.TextIOWrapper(io.BytesIO(b"\xff one\ntwo\n"), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", typed)
    assert session.chat("here", 81) == 0
    text = console.export_text()
    assert "joy hears [\ufffd one]" in text
    assert "joy hears [two]" in text


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C interrupts, also if these tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("line", "count"), [("one", 1), ("/all one", len(LABELS))])
def test_ctrl_c_stops_the_answers_and_the_chat_goes_on(
    console: Console,
    monkeypatch: pytest.MonkeyPatch,
    type_lines: Callable[..., list[str]],
    line: str,
    count: int,
) -> None:
    asked, stopped = list[str](), list[str]()

    async def handle(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if body["text"] == "two":
            return answer(request)
        asked.append(body["emotion"])
        if len(asked) == count:
            signal.raise_signal(signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(body["emotion"])
        raise AssertionError

    monkeypatch.setattr(session, "open_client", lambda *_: client_of(httpx.MockTransport(handle)))
    type_lines(line, "two", "/history", "")
    assert session.chat("here", 81) == 0
    assert sorted(stopped) == sorted(asked)
    assert len(stopped) == count
    shown = console.export_text().splitlines()
    assert "stopped" in shown
    replies = ["You > one", *["no answer > "] * count, "You > two", "Joy > joy hears [two]"]
    assert shown[-len(replies) :] == replies


async def test_a_lost_answer_of_the_six_ends_the_others(console: Console) -> None:
    stopped = list[str]()

    async def handle(request: httpx.Request) -> httpx.Response:
        if (label := json.loads(request.content)["emotion"]) == LABELS[0]:
            raise httpx.ConnectError("refused")
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(label)
        raise AssertionError

    with pytest.raises(httpx.ConnectError):
        await Session(client_of(httpx.MockTransport(handle))).take("/all one")
    assert stopped == list(LABELS[1:])


async def test_a_mix_is_used_until_it_is_ended(console: Console, chatting: Session) -> None:
    for line in ("/blend joy 0.7 fear 0.3", "/intensity 1.2", "one", "/blend", "two", "/intensity"):
        await chatting.take(line)
    await chatting.take("three")
    lines = [line for line in console.export_text().splitlines() if "hears" in line]
    assert [line.partition("]")[2] for line in lines] == [
        " with {'blend': {'joy': 0.7, 'fear': 0.3}, 'intensity': 1.2}",
        " with {'intensity': 1.2}",
        "",
    ]


async def test_each_of_the_six_answers_alone_at_the_intensity(
    console: Console, chatting: Session
) -> None:
    for line in ("/blend joy 0.7 fear 0.3", "/intensity 0.5", "/all it rains"):
        await chatting.take(line)
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
async def test_a_mix_that_is_not_understood_changes_nothing(
    console: Console, chatting: Session, line: str
) -> None:
    await chatting.take("/intensity 0.5")
    await chatting.take(line)
    assert "is not understood" in console.export_text()
    assert chatting.mix == {"intensity": 0.5}
