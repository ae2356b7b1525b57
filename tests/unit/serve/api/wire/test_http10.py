"""HTTP/1.0 has no chunks, so a stream has a length."""

import json

import pytest

from support.http_client import CHAT, HELLO, Connection, FakeResponder, http_app, http_scope

STREAM = json.dumps(HELLO | {"stream": True}).encode()


async def send(version: str) -> Connection:
    connection = Connection(STREAM)
    scope = {**http_scope(CHAT), "http_version": version}
    await http_app(FakeResponder())(scope, connection.receive, connection.send)
    assert connection.ended
    return connection


async def test_a_stream_is_sent_as_a_whole_with_its_length() -> None:
    connection = await send("1.0")
    start, body = connection.sent
    assert body["body"].endswith(b"data: [DONE]\n\n")
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()


async def test_newer_versions_get_parts_at_once() -> None:
    connection = await send("1.1")
    assert len(connection.sent) > 4
    assert b"content-length" not in dict(connection.sent[0]["headers"])


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_response_with_a_length_keeps_it(version: str) -> None:
    connection = Connection(b"")
    scope = {**http_scope("/healthz", "GET"), "http_version": version}
    await http_app(FakeResponder())(scope, connection.receive, connection.send)
    lengths = [value for name, value in connection.sent[0]["headers"] if name == b"content-length"]
    assert lengths == [str(len(connection.body)).encode()]
