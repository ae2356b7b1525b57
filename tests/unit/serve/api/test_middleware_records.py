"""Records and attempts of the request middleware."""

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.api.middleware import RequestMiddleware
from serve.config import HttpConfig
from serve.errors import NotReady
from serve.pipeline.attempts import MAX_ATTEMPTS, Attempts
from support.admin_key import ADMIN_HEADERS
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

CONFIG = HttpConfig(max_body_bytes=1024)
BODY = b'{"text": "hello"}'
SECRET = "what-the-user-wrote"
UNIQUE_ID = "0123456789abcdef" * 2
CALLS = pytest.mark.parametrize("path", BODIES)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


INVALID = {413: b" " * 1025, 422: b'{"text": 5, "secret": 1}', 400: b"{secret"}


@CALLS
@pytest.mark.parametrize("status", INVALID)
async def test_requests_that_do_not_reach_the_pipeline_are_logged_once_without_text(
    path: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = JSON | {"x-request-id": "mine"}
    client = http_client(FakeResponder(), CONFIG)
    reply = await client.post(path, content=INVALID[status], headers=headers)
    [line] = lines(capsys)
    assert line["event"] == "request"
    assert line["call"] == ("detect" if path == DETECT else "respond")
    assert (line["outcome"], line["x_request_id"]) == ("invalid", "mine")
    assert line["status"] == reply.status_code
    assert "secret" not in json.dumps(line)


@CALLS
async def test_requests_without_room_for_their_bodies_are_counted_as_rejected(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    client = http_client(FakeResponder(), HttpConfig(max_bytes_in_flight=1024))
    reply = await client.post(path, content=b" " * 1025, headers=JSON)
    assert reply.status_code == 429
    [line] = lines(capsys)
    assert (line["outcome"], line["status"]) == ("rejected", 429)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://["}, 403),
        ({"content-length": "9" * 5000}, 413),
        ({"content-length": "0" * 5000 + "9" * 4}, 413),
        ({"x-request-timeout-ms": "9" * 5000}, 422),
        ({"x-request-timeout-ms": "1e3"}, 422),
        ({"x-region": "["}, 422),
        ({"content-encoding": "gzip, ["}, 415),
        ({"content-type": "["}, 415),
    ],
)
async def test_headers_that_cannot_be_read_are_the_clients_error(
    headers: dict[str, str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = Connection(BODY)
    scope = http_scope(RESPOND)
    others = [pair for pair in scope["headers"] if pair[0].decode() not in headers]
    given = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope["headers"] = others + given
    await http_app(FakeResponder(), CONFIG)(scope, connection.receive, connection.send)
    assert connection.sent[0]["status"] == status
    [line] = lines(capsys)
    assert line["outcome"] == "invalid"


@pytest.mark.parametrize("value", ["[", "00-" + "z" * 5000, "\xff", ",=,=" * 500])
async def test_traces_that_cannot_be_read_change_nothing(value: str) -> None:
    scope = http_scope(RESPOND, traceparent=value, tracestate=value, accept=value)
    connection = Connection(BODY)
    await http_app(FakeResponder(), CONFIG)(scope, connection.receive, connection.send)
    assert connection.sent[0]["status"] == 200


async def test_a_client_that_leaves_while_sending_gets_no_response(
    capsys: pytest.CaptureFixture[str],
) -> None:
    connection = Connection(BODY, None, more=True)
    responder = FakeResponder()
    await http_app(responder)(http_scope(RESPOND), connection.receive, connection.send)
    assert (connection.sent, responder.contexts) == ([], [])
    assert [line["outcome"] for line in lines(capsys)] == ["client_disconnected"]


@CALLS
async def test_requests_that_reach_the_pipeline_are_not_logged_again(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await http_client(FakeResponder()).post(path, json=BODIES[path])
    await http_client(FakeResponder((), error=ValueError())).post(path, json=BODIES[path])
    assert lines(capsys) == []


async def test_changes_of_adapters_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    client = http_client(FakeResponder())
    client.headers.update(ADMIN_HEADERS)
    await client.get("/v1/admin/adapters")
    await client.post("/v1/admin/adapters/rollback", json={"persona": "joy"})
    requests = [line for line in lines(capsys) if line["event"] == "request"]
    outcomes = [(line["call"], line["outcome"]) for line in requests]
    assert outcomes == [("admin", "ok"), ("admin", "invalid")]


async def test_a_failure_to_look_up_a_persona_is_logged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def unavailable(persona: str) -> bool:
        raise NotReady("no reply")

    responder = FakeResponder()
    monkeypatch.setattr(responder.personas, "has", unavailable)
    reply = await http_client(responder).post(RESPOND, json={"text": "hi", "emotion": "calm"})
    assert reply.status_code == 503
    assert [(line["call"], line["outcome"]) for line in lines(capsys)] == [("respond", "failed")]


@pytest.mark.parametrize("path", ["/healthz", "/v1/models", f"/{SECRET}"])
async def test_other_paths_are_not_logged(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    await http_client(FakeResponder()).get(path)
    assert capsys.readouterr().out == ""


def open_attempts(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


class FilesSeen:
    """ASGI application that notes which attempts are open while it answers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.seen: list[list[str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(open_attempts(self._folder))
        await JSONResponse({})(scope, receive, send)


async def answer(app: ASGIApp, path: str, **headers: str) -> Connection:
    connection = Connection(BODY)
    await app(http_scope(path, **headers), connection.receive, connection.send)
    return connection


@pytest.mark.parametrize(
    ("path", "attempts"),
    [(RESPOND, [UNIQUE_ID]), (DETECT, [UNIQUE_ID]), (CHAT, [UNIQUE_ID]), ("/v1/personas", [])],
)
async def test_an_attempt_lasts_as_long_as_its_request(
    tmp_path: Path, path: str, attempts: list[str]
) -> None:
    app = FilesSeen(tmp_path)
    wrapped = RequestMiddleware(app, CONFIG, LETS_ANYONE_IN, Attempts(tmp_path))
    await answer(wrapped, path, x_fye_unique_id=UNIQUE_ID)
    assert app.seen == [attempts]
    assert open_attempts(tmp_path) == []


@CALLS
async def test_a_request_that_has_crashed_replicas_is_not_tried_again(
    tmp_path: Path, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    app = FilesSeen(tmp_path)
    wrapped = RequestMiddleware(app, CONFIG, LETS_ANYONE_IN, Attempts(tmp_path))
    (tmp_path / UNIQUE_ID).write_bytes(b"." * MAX_ATTEMPTS)
    connection = await answer(wrapped, path, x_fye_unique_id=UNIQUE_ID)
    assert (connection.sent[0]["status"], app.seen) == (502, [])
    assert b"replica-failed" in connection.body
    assert [line["outcome"] for line in lines(capsys)] == ["failed"]


async def test_a_rejected_body_counts_as_no_attempt(tmp_path: Path) -> None:
    wrapped = RequestMiddleware(FilesSeen(tmp_path), CONFIG, LETS_ANYONE_IN, Attempts(tmp_path))
    headers = {"x_fye_unique_id": UNIQUE_ID, "content_length": "9999"}
    assert (await answer(wrapped, RESPOND, **headers)).sent[0]["status"] == 413
    assert open_attempts(tmp_path) == []
