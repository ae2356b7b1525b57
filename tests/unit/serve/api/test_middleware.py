"""The edge: bodies that are too large or too slow, ids of requests, and the deadline that a client asks for."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from serve.config import IngressConfig
from serve.errors import Overloaded
from support.http_client import FakeIngress, http_client

LIMITS = IngressConfig(max_body_bytes=1024, body_timeout_s=0.2)
BODY = b'{"text": "hello"}'
JSON = {"content-type": "application/json"}
CHAT = "/v1/chat/completions"


async def pieces(*parts: bytes, each_s: float = 0) -> AsyncIterator[bytes]:
    for part in parts:
        await asyncio.sleep(each_s)
        yield part


async def post(content: Any, path: str = "/v1/respond", **headers: str) -> httpx.Response:
    return await http_client(FakeIngress(), LIMITS).post(path, content=content, headers=JSON | headers)


async def test_a_body_in_pieces_is_read_whole() -> None:
    assert (await post(pieces(BODY[:5], b"", BODY[5:]))).status_code == 200


@pytest.mark.parametrize("path", ["/v1/respond", CHAT])
async def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(path: str) -> None:
    declared = await post(b" " * 1025, path)
    found = await post(pieces(*[b" " * 100] * 11), path)
    assert [reply.status_code for reply in (declared, found)] == [413, 413]
    assert "1024 bytes" in declared.text
    assert ("error" in declared.json()) is (path == CHAT)


async def test_a_body_of_just_the_limit_is_read() -> None:
    assert (await post(BODY + b" " * (1024 - len(BODY)))).status_code == 200


async def test_a_body_that_comes_too_slowly_is_refused() -> None:
    began_s = time.monotonic()
    reply = await post(pieces(BODY, *[b" "] * 50, each_s=0.05))
    assert (reply.status_code, reply.json()["type"]) == (408, "urn:face-your-emotions:slow-body")
    assert time.monotonic() - began_s < 1


async def test_a_clients_id_comes_back_and_others_get_one() -> None:
    assert (await post(BODY, **{"x-request-id": "Abc-1.2_3"})).headers.get_list("x-request-id") == ["Abc-1.2_3"]
    [one], [other] = [(await post(BODY)).headers.get_list("x-request-id") for _ in range(2)]
    assert one != other


@pytest.mark.parametrize("given", [None, "Abc-1.2_3"])
async def test_the_id_that_the_client_sees_is_the_messages(given: str | None) -> None:
    ingress = FakeIngress()
    reply = await http_client(ingress).post("/v1/respond", json={"text": "hi"}, headers={"x-request-id": given} if given else {})
    assert ingress.messages[0].x_request_id == reply.headers["x-request-id"]


@pytest.mark.parametrize("hostile", ["", "a b", "x" * 65, "<script>", "a;b"])
async def test_an_id_that_is_none_is_replaced(hostile: str) -> None:
    ingress = FakeIngress()
    await http_client(ingress).post("/v1/respond", json={"text": "hi"}, headers={"x-request-id": hostile})
    assert ingress.messages[0].x_request_id != hostile
    assert ingress.messages[0].x_request_id.isalnum()


@pytest.mark.parametrize("body", [b" " * 1025, b"{"])
async def test_one_id_comes_with_errors_too(body: bytes) -> None:
    assert len((await post(body)).headers.get_list("x-request-id")) == 1


@pytest.mark.parametrize("path", ["/v1/respond", "/v1/detect", CHAT])
async def test_the_trace_that_a_client_is_in_is_taken_over(path: str) -> None:
    ingress = FakeIngress()
    headers = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": "vendor=1"}
    body = {"messages": [{"role": "user", "content": "hi"}]} if path == CHAT else {"text": "hi"}
    await http_client(ingress).post(path, json=body, headers=headers | {"baggage": "user=me"})
    assert ingress.traces == [headers]


@pytest.mark.parametrize(("asked", "timeout_s"), [(None, 60), ("1500", 1.5), ("120000", 120)])
@pytest.mark.parametrize("path", ["/v1/respond", "/v1/detect", CHAT])
async def test_the_deadline_is_the_clients_or_the_default(path: str, asked: str | None, timeout_s: float) -> None:
    ingress, began_s = FakeIngress(), time.monotonic()
    body = {"messages": [{"role": "user", "content": "hi"}]} if path == CHAT else {"text": "hi"}
    reply = await http_client(ingress).post(path, json=body, headers={"x-request-timeout-ms": asked} if asked else {})
    [deadline_s] = [*(message.deadline_s for message in ingress.messages), *ingress.deadlines_s]
    assert reply.status_code == 200
    assert deadline_s - began_s == pytest.approx(timeout_s, abs=1)


@pytest.mark.parametrize("value", ["0", "-1", "soon", "120001", "1.5"])
async def test_a_timeout_that_is_none_is_refused(value: str) -> None:
    reply = await http_client(FakeIngress()).post("/v1/respond", json={"text": "hi"}, headers={"x-request-timeout-ms": value})
    assert (reply.status_code, "x-request-timeout-ms" in reply.text) == (422, True)


@pytest.mark.parametrize("path", ["/v1/respond", CHAT])
async def test_what_nobody_foresaw_is_told_and_logged_without_a_users_words(path: str, caplog: pytest.LogCaptureFixture) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}]} if path == CHAT else {"text": "hi"}
    reply = await http_client(FakeIngress((), fails=ValueError("what-the-user-wrote"))).post(path, json=body)
    assert (reply.status_code, "internal" in reply.text) == (500, True)
    assert "unexpected ValueError at read (fakes.py:" in caplog.text
    assert "what-the-user-wrote" not in caplog.text + reply.text


@pytest.mark.parametrize("stream", [False, True])
async def test_refused_is_429_and_says_when_to_return(stream: bool) -> None:
    reply = await http_client(FakeIngress((), fails=Overloaded("full", 7))).post("/v1/respond", json={"text": "hi", "stream": stream})
    assert (reply.status_code, reply.headers["retry-after"], reply.json()["type"]) == (429, "7", "urn:face-your-emotions:overloaded")


WRONG = {"413": b" " * 1025, "422": b'{"text": 5, "secret": 1}', "400": b"{secret"}


@pytest.mark.parametrize("path", ["/v1/respond", "/v1/detect", CHAT])
@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
async def test_what_no_stage_has_seen_is_logged_once_without_its_words(path: str, body: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    reply = await post(body, path, **{"x-request-id": "mine"})
    [line] = capsys.readouterr().out.splitlines()
    call = "detect" if path == "/v1/detect" else "respond"
    told = {"event": "request", "call": call, "outcome": "invalid", "status": reply.status_code, "x_request_id": "mine"}
    assert told.items() <= json.loads(line).items()
    assert "secret" not in line


async def test_a_change_of_releases_is_logged_and_what_the_ingress_counts_is_not_counted_twice(capsys: pytest.CaptureFixture[str]) -> None:
    client = http_client(FakeIngress())
    replies = [await client.get("/v1/admin/adapters"), await client.post("/v1/admin/adapters/rollback", json={"persona": "joy"})]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [reply.status_code for reply in replies] == [200, 422]
    assert [(line["call"], line["outcome"]) for line in lines] == [("admin", "ok"), ("admin", "invalid")]
    for path in ("/v1/respond", "/v1/detect", "/healthz"):  # the stages that are not there count nothing
        await (client.get(path) if path == "/healthz" else client.post(path, json={"text": "hi"}))
    assert capsys.readouterr().out == ""
