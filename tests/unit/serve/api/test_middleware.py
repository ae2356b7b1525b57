"""Request middleware: limits of the body, request ids and errors."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from serve.api.auth import KeyRing, new_secret, sha256_of
from serve.api.middleware import BytesInFlight, RequestMiddleware
from serve.api.requests import is_openai
from serve.config import HttpConfig
from serve.errors import Overloaded
from serve.pipeline.attempts import Attempts
from support.http_client import (
    BODIES,
    CHAT,
    DETECT,
    JSON,
    LETS_ANYONE_IN,
    RESPOND,
    Connection,
    FakeResponder,
    http_app,
    http_client,
    http_scope,
)

CONFIG = HttpConfig(max_body_bytes=1024, body_timeout_s=0.1)
BODY = b'{"text": "hello"}'
SECRET = "what-the-user-wrote"
CALLS = pytest.mark.parametrize("path", BODIES)


async def parts(*chunks: bytes, delay_s: float = 0) -> AsyncIterator[bytes]:
    for chunk in chunks:
        await asyncio.sleep(delay_s)
        yield chunk


async def post(content: Any, path: str = RESPOND, **headers: str) -> httpx.Response:
    client = http_client(FakeResponder(), CONFIG)
    return await client.post(path, content=content, headers=JSON | headers)


async def test_reads_a_body_in_parts() -> None:
    assert (await post(parts(BODY[:5], b"", BODY[5:]))).status_code == 200


@CALLS
async def test_rejects_a_large_body_whether_declared_or_not(path: str) -> None:
    declared = await post(b" " * 1025, path)
    found = await post(parts(b" " * 1000, b" " * 25), path)
    for reply in (declared, found):
        assert (reply.status_code, "body-too-large" in reply.text) == (413, True)
        assert ("error" in reply.json()) is (is_openai(path))
        assert reply.headers["connection"] == "close"
    assert "1024" in declared.text


@pytest.mark.parametrize("length", ["1025", "9" * 30])
async def test_a_large_declared_body_is_not_read(length: str) -> None:
    connection = Connection()
    scope = http_scope(RESPOND, content_length=length)
    await http_app(FakeResponder(), CONFIG)(scope, connection.receive, connection.send)
    assert connection.sent[0]["status"] == 413


@pytest.mark.parametrize("length", ["", "-5", "\u00b2", "1e9"])
async def test_an_invalid_declared_length_is_ignored(length: str) -> None:
    connection = Connection(BODY)
    scope = http_scope(RESPOND, content_length=length)
    await http_app(FakeResponder(), CONFIG)(scope, connection.receive, connection.send)
    assert connection.sent[0]["status"] == 200


async def test_reads_a_body_of_the_largest_size() -> None:
    assert (await post(BODY + b" " * (1024 - len(BODY)))).status_code == 200


async def test_rejects_a_slow_body() -> None:
    sent = list[bytes]()

    async def slow() -> AsyncIterator[bytes]:
        async for part in parts(BODY, *[b" "] * 50, delay_s=0.03):
            sent.append(part)
            yield part

    reply = await post(slow())
    assert (reply.status_code, reply.json()["type"]) == (408, "urn:face-your-emotions:slow-body")
    assert reply.headers["connection"] == "close"
    assert len(sent) < 10, "it was not read to its end"


async def test_the_time_begins_before_the_body_is_read() -> None:
    read_s: list[float] = []

    async def body() -> AsyncIterator[bytes]:
        read_s.append(time.monotonic())
        await asyncio.sleep(0.01)
        yield BODY

    connection = Connection()
    content = body()

    async def receive() -> Message:
        return {"type": "http.request", "body": await anext(content), "more_body": False}

    responder = FakeResponder()
    await http_app(responder)(http_scope(RESPOND), receive, connection.send)
    assert responder.contexts[0].began_s <= read_s[0]


async def test_the_application_sees_a_later_disconnect(tmp_path: Path) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([(await receive())["type"], (await receive())["type"]])

    connection = Connection(BODY, None)
    wrapped = RequestMiddleware(app, CONFIG, LETS_ANYONE_IN, Attempts(tmp_path))
    await wrapped(http_scope(RESPOND), connection.receive, connection.send)
    assert seen == ["http.request", "http.disconnect"]


async def test_returns_the_clients_request_id_or_a_new_one() -> None:
    given = await post(BODY, **{"x-request-id": "Abc-1.2_3"})
    assert given.headers.get_list("x-request-id") == ["Abc-1.2_3"]
    [first], [second] = [(await post(BODY)).headers.get_list("x-request-id") for _ in range(2)]
    assert first != second


@CALLS
@pytest.mark.parametrize("given", [None, "Abc-1.2_3"])
async def test_the_pipeline_has_the_id_that_the_client_gets(path: str, given: str | None) -> None:
    responder = FakeResponder()
    headers = {"x-request-id": given} if given else {}
    reply = await http_client(responder).post(path, json=BODIES[path], headers=headers)
    assert responder.contexts[0].x_request_id == reply.headers["x-request-id"]


async def test_replaces_an_invalid_request_id() -> None:
    responder = FakeResponder()
    headers = {"x-request-id": "<script>"}
    await http_client(responder).post(RESPOND, json={"text": "hi"}, headers=headers)
    assert responder.contexts[0].x_request_id.isalnum()


@pytest.mark.parametrize("body", [b" " * 1025, b"{"])
async def test_errors_have_one_request_id(body: bytes) -> None:
    assert len((await post(body)).headers.get_list("x-request-id")) == 1


@CALLS
@pytest.mark.parametrize("stream", [False, True])
async def test_an_unexpected_error_is_logged_without_user_text(
    path: str, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    body = BODIES[path] | ({} if path == DETECT else {"stream": stream})
    reply = await http_client(FakeResponder((), error=ValueError(SECRET))).post(path, json=body)
    assert (reply.status_code, "internal" in reply.text) == (500, True)
    assert "unexpected ValueError at classify (fakes.py:" in caplog.text
    assert SECRET not in caplog.text + reply.text


async def raise_after_start(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise ValueError(SECRET)


async def test_an_error_after_the_response_has_started_is_only_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    connection = Connection(BODY)
    wrapped = RequestMiddleware(raise_after_start, CONFIG, LETS_ANYONE_IN, Attempts(tmp_path))
    await wrapped(http_scope(RESPOND), connection.receive, connection.send)
    assert [message["type"] for message in connection.sent] == ["http.response.start"]
    assert "unexpected ValueError at raise_after_start" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [RESPOND, CHAT])
async def test_a_rejection_is_429_with_the_time_to_wait(path: str, stream: bool) -> None:
    client = http_client(FakeResponder((), error=Overloaded("full", 7)))
    reply = await client.post(path, json=BODIES[path] | {"stream": stream})
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "7")
    assert "overloaded" in reply.text


def test_bodies_of_all_requests_together_are_bounded() -> None:
    in_flight = BytesInFlight(10)
    with in_flight.hold() as one, in_flight.hold() as two:
        one.add(6)
        two.add(4)
        with pytest.raises(Overloaded):
            two.add(1)
        assert in_flight.total == 10
    assert in_flight.total == 0


async def test_a_replica_that_holds_too_many_bytes_rejects_and_recovers() -> None:
    config = HttpConfig(max_body_bytes=2048, max_bytes_in_flight=1024)
    client = http_client(FakeResponder(), config)
    for _ in range(2):
        reply = await client.post(RESPOND, content=b" " * 1500, headers=JSON)
        assert (reply.status_code, reply.headers["retry-after"]) == (429, "1")
    assert (await client.post(RESPOND, content=BODY, headers=JSON)).status_code == 200


@CALLS
async def test_a_body_without_a_key_is_never_read(path: str, tmp_path: Path) -> None:
    secret = new_secret()
    (tmp_path / "keys.toml").write_text(
        f'[[keys]]\nname = "one"\nsha256 = "{sha256_of(secret)}"\nscopes = ["respond", "detect"]'
    )

    async def never_read() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    client = http_client(FakeResponder(), CONFIG, KeyRing(tmp_path / "keys.toml"))
    reply = await client.post(path, content=never_read(), headers=JSON)
    assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
    good = {"authorization": f"Bearer {secret}"}
    assert (await client.post(path, json=BODIES[path], headers=good)).status_code == 200
