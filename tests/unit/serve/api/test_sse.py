"""Streamed responses: their form, pings, errors, and clients that leave or do not read."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

import httpx
import pytest

from models.emotions import Emotion
from serve.api import sse
from serve.api.sse import EventStream
from serve.engine.protocol import TextChunk
from serve.errors import EngineDead, EngineError, NotReady
from serve.pipeline.answer import Answer, emotion_scores
from support.fakes import CHUNKS, message, scores
from support.http_client import (
    BODIES,
    CHAT,
    COMPLETIONS,
    RESPOND,
    RESPONSES,
    Connection,
    FakeResponder,
    http_app,
    http_client,
    http_scope,
    sse_events,
)

SECRET = "what-the-user-wrote"
PING = b": ping\n\n"
BOTH = pytest.mark.parametrize("path", [RESPOND, CHAT])


@dataclass
class SlowResponder(FakeResponder):
    """Responder that waits for `may_end` after its chunks."""

    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    generated: int = 0

    async def _generate(self) -> AsyncGenerator[TextChunk]:
        try:
            for chunk in self.chunks:
                self.generated += 1
                yield chunk
            await self.may_end.wait()
            if self.error:
                raise self.error
        finally:
            self.closed = True


def answer() -> Answer:
    found = Answer(message("hello"))
    found.emotion = emotion_scores(scores(Emotion.LOVE))
    return found


def streamed(path: str) -> bytes:
    return json.dumps(BODIES[path] | {"stream": True}).encode()


def call(
    responder: FakeResponder, connection: Connection, path: str = RESPOND, **headers: str
) -> asyncio.Task[None]:
    """Start a streamed request."""
    scope = http_scope(path, **headers)
    return asyncio.create_task(
        http_app(responder)(scope, connection.receive, connection.send)  # type: ignore[arg-type]
    )


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 (the client has no event for it)
            await asyncio.sleep(0.001)


async def until_text(connection: Connection, text: bytes) -> None:
    await until(lambda: text in connection.body)


async def post(responder: FakeResponder, path: str, **headers: str) -> httpx.Response:
    body = BODIES[path] | {"stream": True}
    return await http_client(responder).post(path, json=body, headers=headers)


async def test_an_event_has_a_name_and_one_line_of_data() -> None:
    connection = Connection()
    stream = EventStream(connection.send)
    await stream.send('{"text": "a"}', "delta")
    await stream.send("[DONE]")
    assert connection.body == b'event: delta\ndata: {"text": "a"}\n\ndata: [DONE]\n\n'
    assert not connection.ended


async def test_the_response_starts_with_the_emotion_as_a_header() -> None:
    connection = Connection()
    stream = EventStream(connection.send)
    assert not stream.started
    await stream.start(answer())
    await stream.close()
    [start, end] = connection.sent
    assert (stream.started, start["status"], end["more_body"]) == (True, 200, False)
    assert dict(start["headers"]) == {
        b"content-type": b"text/event-stream; charset=utf-8",
        b"cache-control": b"no-store",
        b"x-accel-buffering": b"no",
        b"x-emotion": b"love",
    }


async def test_idle_streams_are_pinged_until_they_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "PING_INTERVAL_S", 0.01)
    connection = Connection()
    stream = EventStream(connection.send)
    await stream.start(answer())
    await until_text(connection, PING * 2)
    await stream.close()
    sent = len(connection.sent)
    await asyncio.sleep(5 * sse.PING_INTERVAL_S)
    assert connection.ended
    assert len(connection.sent) == sent


async def test_a_ping_that_waits_for_the_client_is_not_sent_after_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "PING_INTERVAL_S", 0.01)
    connection = Connection()
    stream = EventStream(connection.send)
    await stream.start(answer())
    connection.reading.clear()
    await until(lambda: connection.waiting > 0)
    await asyncio.sleep(5 * sse.PING_INTERVAL_S)
    assert connection.waiting == 1, "however long it waits"
    closing = asyncio.create_task(stream.close())
    connection.reading.set()
    await closing
    await asyncio.sleep(0.01)
    assert connection.ended


async def test_a_cancelled_request_is_pinged_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "PING_INTERVAL_S", 0.005)
    connection = Connection(streamed(RESPOND))
    task = call(SlowResponder(CHUNKS[:2]), connection)
    await until_text(connection, PING)
    task.cancel()
    await asyncio.wait([task])
    sent = len(connection.sent)
    await asyncio.sleep(5 * sse.PING_INTERVAL_S)
    assert len(connection.sent) == sent


async def test_pings_do_not_disturb_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "PING_INTERVAL_S", 0.005)
    responder = SlowResponder(CHUNKS[:2])
    connection = Connection(streamed(RESPOND))
    task = call(responder, connection)
    await until_text(connection, PING)
    responder.may_end.set()
    await task
    assert connection.ended
    events = [part for part in connection.body.split(b"\n\n") if part + b"\n\n" != PING]
    undisturbed = (await post(FakeResponder(CHUNKS[:2]), RESPOND)).content.split(b"\n\n")
    assert [event for event in events if b"done" not in event] == [
        event for event in undisturbed if b"done" not in event
    ]


@BOTH
async def test_each_text_is_sent_before_the_next_one_is_generated(path: str) -> None:
    responder = SlowResponder(CHUNKS[:2])
    connection = Connection(streamed(path))
    task = call(responder, connection, path)
    await until_text(connection, b" no")
    assert not connection.ended
    assert connection.body.count(b"data: ") == 3
    task.cancel()


@BOTH
async def test_a_client_that_does_not_read_stops_the_generation(path: str) -> None:
    responder = SlowResponder(CHUNKS * 10)
    connection = Connection(streamed(path))
    connection.reading.clear()
    task = call(responder, connection, path)
    await until(lambda: connection.waiting > 0)
    await asyncio.sleep(0.02)
    assert (connection.sent, responder.generated) == ([], 0)
    connection.reading.set()
    await until_text(connection, b" no")
    task.cancel()


@BOTH
async def test_cancelling_a_request_ends_its_generation(path: str) -> None:
    responder = SlowResponder(CHUNKS[:2])
    connection = Connection(streamed(path))
    task = call(responder, connection, path)
    await until_text(connection, b" no")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert responder.closed
    assert not connection.ended
    assert b"error" not in connection.body


@BOTH
async def test_an_error_before_the_first_event_is_an_http_error(path: str) -> None:
    reply = await post(FakeResponder((), error=NotReady("the detector is not ready")), path)
    assert (reply.status_code, "not-ready" in reply.text) == (503, True)
    assert "text/event-stream" not in reply.headers["content-type"]


@BOTH
async def test_an_error_after_some_text_is_the_last_event(path: str) -> None:
    reply = await post(FakeResponder(CHUNKS[:2], error=EngineError("the engine failed")), path)
    events = sse_events(reply)
    assert reply.status_code == 200
    last = events[-1] if path == RESPOND else events[-2]
    assert "the engine failed" in last[1]
    assert sum("the engine failed" in data for _, data in events) == 1
    assert 'finish_reason": "stop' not in reply.text


@BOTH
async def test_an_unexpected_error_after_some_text_does_not_show_user_text(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    reply = await post(FakeResponder(CHUNKS[:2], error=ValueError(SECRET)), path)
    assert "internal" in sse_events(reply)[-1 if path == RESPOND else -2][1]
    assert SECRET not in caplog.text + reply.text


@BOTH
async def test_a_stream_ends_at_its_deadline_with_an_error(path: str) -> None:
    responder = SlowResponder(CHUNKS[:2])
    reply = await post(responder, path, **{"x-request-timeout-ms": "50"})
    assert (reply.status_code, "deadline-exceeded" in reply.text) == (200, True)
    assert responder.closed


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        (RESPOND, "event: done"),
        (CHAT, '"finish_reason": "'),
        (COMPLETIONS, '"finish_reason": "'),
        (RESPONSES, "event: response.completed"),
    ],
)
@pytest.mark.parametrize(
    "error", [EngineDead("the engine is dead"), None], ids=["engine-dead", "no finish reason"]
)
async def test_half_an_answer_has_an_error_and_no_clean_end(
    path: str, clean: str, error: Exception | None
) -> None:
    assert clean in (await post(FakeResponder(CHUNKS), path)).text
    reply = await post(FakeResponder(CHUNKS[:1], error=error), path)
    assert reply.status_code == 200
    assert clean not in reply.text
    text = "the engine is dead" if error else "without a reason"
    assert any(text in data and "error" in name + data for name, data in sse_events(reply)[-2:])


async def test_a_client_that_does_not_read_its_error_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "ERROR_TIMEOUT_S", 0.02)
    responder = SlowResponder(CHUNKS[:2], error=EngineError("the engine failed"))
    connection = Connection(streamed(RESPOND))
    task = call(responder, connection)
    await until_text(connection, b" no")
    connection.reading.clear()
    responder.may_end.set()
    async with asyncio.timeout(60):
        await task
    assert responder.closed
    assert not connection.ended
