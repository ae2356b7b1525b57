"""Outcome of every way in which a reply can end, over real connections."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from load.harness.arrivals import client_session
from load.harness.client import send_request
from load.harness.openai_client import graph_body, send_completion
from load.harness.outcomes import Outcome
from load.harness.reply_checks import check_persona
from load.harness.workload import Request
from models.emotions import Emotion

REQUEST = Request("hello", Emotion.JOY, max_tokens=9, seed=0)
DOCUMENT = Request("hello", Emotion.JOY, max_tokens=9, seed=0, stream=False)
TIMEOUT_S = 5
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: text/event-stream\r\n\r\n"
)
LAST_CHUNK = b"0\r\n\r\n"
TEXT = b'event: delta\ndata: {"text": "Oh"}\n\n'
DONE = b'event: done\ndata: {"adapter": "joy@1", "usage": {"completion_tokens": 1}}\n\n'
ERROR = b'event: error\ndata: {"type": "urn:face-your-emotions:engine-error"}\n\n'
COMPLETION = b'data: {"choices": [{"delta": {"content": "Oh"}}], "usage": {"prompt_tokens": 3}}\n\n'
COMPLETION_DONE = b"data: [DONE]\n\n"


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def stream_of(*events: bytes) -> bytes:
    """Build a stream that is not terminated."""
    return CHUNKED + b"".join(map(chunk, events))


def problem(status: int, slug: str) -> bytes:
    body = json.dumps({"type": f"urn:face-your-emotions:{slug}"}).encode()
    head = (
        f"HTTP/1.1 {status} X\r\ncontent-type: application/problem+json\r\nretry-after: 7\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@asynccontextmanager
async def serve_once(response: bytes, reset: bool = False) -> AsyncIterator[str]:
    """Serve the same bytes to every request, then close or reset the connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.write(response)
        await writer.drain()
        if reset:
            writer.transport.abort()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def outcome_of(response: bytes, request: Request = REQUEST, reset: bool = False) -> Outcome:
    async with serve_once(response, reset) as url, client_session() as session:
        return await send_request(session, url, request, TIMEOUT_S, check_persona)


async def completion_of(response: bytes) -> Outcome:
    async with serve_once(response) as url, client_session() as session:
        return await send_completion(session, url, REQUEST, graph_body)


async def test_complete_stream_is_ok() -> None:
    outcome = await outcome_of(stream_of(TEXT, DONE) + LAST_CHUNK)
    assert outcome.end == "ok"
    assert (outcome.text, outcome.adapter, outcome.completion_tokens) == ("Oh", "joy@1", 1)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("events", [(), (TEXT,), (TEXT, DONE)])
async def test_stream_that_is_cut_failed_explicitly(events: tuple[bytes, ...], reset: bool) -> None:
    outcome = await outcome_of(stream_of(*events), reset=reset)
    assert outcome.end == "failed_explicitly"
    assert outcome.status == 200


async def test_document_that_is_cut_failed_explicitly() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n"
    outcome = await outcome_of(head + b'{"text": "O', DOCUMENT)
    assert outcome.end == "failed_explicitly"


async def test_clean_end_without_the_final_event_is_lost() -> None:
    assert (await outcome_of(stream_of(TEXT) + LAST_CHUNK)).end == "lost"


async def test_connection_closed_before_a_reply_is_lost() -> None:
    assert (await outcome_of(b"")).end == "lost"


async def test_error_event_failed_explicitly() -> None:
    outcome = await outcome_of(stream_of(TEXT, ERROR) + LAST_CHUNK)
    assert outcome.end == "failed_explicitly"
    assert outcome.error == "engine-error"


async def test_reply_of_another_persona_is_wrong() -> None:
    done = DONE.replace(b"joy@1", b"fear@1")
    assert (await outcome_of(stream_of(TEXT, done) + LAST_CHUNK)).end == "wrong"


@pytest.mark.parametrize(
    ("status", "slug", "end"),
    [
        (429, "overloaded", "rejected"),
        (503, "not-ready", "rejected"),
        (502, "lost", "failed_explicitly"),
    ],
)
async def test_problem_documents(status: int, slug: str, end: str) -> None:
    outcome = await outcome_of(problem(status, slug))
    assert (outcome.end, outcome.error, outcome.retry_after_s) == (end, slug, 7)


async def test_error_without_a_problem_document_is_lost() -> None:
    head = b"HTTP/1.1 500 X\r\ncontent-type: text/plain\r\ncontent-length: 0\r\n\r\n"
    assert (await outcome_of(head)).end == "lost"


@pytest.mark.parametrize(
    ("response", "end"),
    [
        (stream_of(COMPLETION, COMPLETION_DONE) + LAST_CHUNK, "ok"),
        (stream_of(COMPLETION) + LAST_CHUNK, "lost"),
        (stream_of(COMPLETION), "failed_explicitly"),
        (problem(429, "overloaded"), "lost"),
        (b"", "lost"),
    ],
)
async def test_ends_of_completions(response: bytes, end: str) -> None:
    assert (await completion_of(response)).end == end
