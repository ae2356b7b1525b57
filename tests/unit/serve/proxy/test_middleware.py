"""Before the ingress: what a dying ingress replica loses is asked again or ends with a word, and nothing is done twice that must not be."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
import uvicorn
from ray.serve import metrics
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from serve.config import IngressConfig
from serve.proxy import middleware
from serve.proxy.middleware import Front
from serve.proxy.replay import LOST_WRITING_TIMES

OWN, CHAT = "/v1/respond", "/v1/chat/completions"
Way = Callable[[Scope, Receive, Send], Awaitable[None]]


class Proxy:
    """Serve's proxy with an ingress behind it: one way to end for each attempt, the last one for all that follow."""

    def __init__(self, *ways: Way) -> None:
        self._ways = ways
        self.asked: list[tuple[dict[str, str], bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        way = self._ways[min(len(self.asked), len(self._ways) - 1)]
        message = await receive()
        self.asked.append(({name.decode(): value.decode() for name, value in scope["headers"]}, message["body"]))
        await way(scope, receive, send)

    async def post(self, path: str = OWN, *, through: Front | None = None, **headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(through or Front(self))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.post(path, json={"text": "hello"}, headers=headers)


async def dies(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve's proxy says nothing when the ingress dies before it has answered."""


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"text": "here"})(scope, receive, send)


async def dies_in_the_middle(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await send({"type": "http.response.body", "body": b"event: delta\r\ndata: {}\r\n\r\n", "more_body": True})


async def dies_after_its_head(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve's proxy ends quietly when it is cancelled."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return


async def hangs_in_the_middle(scope: Scope, receive: Receive, send: Send) -> None:
    await dies_in_the_middle(scope, receive, send)
    await hangs(scope, receive, send)


async def loses_its_responder(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"type": "replica-lost"}, 502)(scope, receive, send)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "GRACE_S", 0.1)
    monkeypatch.setattr(middleware, "AGAIN_S", 0.01)


@pytest.mark.parametrize("end", [dies, dies_after_its_head])
async def test_what_was_not_begun_is_asked_again_with_the_same_words_and_what_is_left_of_its_time(end: Way) -> None:
    proxy = Proxy(end, end, answers)
    reply = await proxy.post()
    assert (reply.status_code, reply.json()) == (200, {"text": "here"})
    assert [body for _, body in proxy.asked] == [b'{"text":"hello"}'] * 3
    spent_ms = [int(headers["x-request-elapsed-ms"]) for headers, _ in proxy.asked]
    assert spent_ms[0] <= 5
    assert spent_ms[2] >= 20
    assert len({headers["x-request-id"] for headers, _ in proxy.asked}) == 1


async def test_a_stream_that_had_begun_ends_with_an_error_that_says_so() -> None:
    proxy = Proxy(dies_in_the_middle, answers)
    name, data = (await proxy.post()).text.strip().split("\r\n\r\n")[-1].split("\r\n")
    assert (name, json.loads(data.removeprefix("data: "))["type"]) == ("event: error", "urn:face-your-emotions:replica-lost")
    assert len(proxy.asked) == 1


async def test_openai_clients_get_the_error_in_their_own_shape() -> None:
    _, _, words = (await Proxy(dies_in_the_middle).post(CHAT)).text.partition("{}\r\n\r\n")
    error, done = words.strip().split("\n\n")
    assert json.loads(error.removeprefix("data: "))["error"]["code"] == "replica-lost"
    assert done == "data: [DONE]"


async def test_a_whole_answer_whose_responder_died_is_begun_again_but_not_for_ever() -> None:
    assert (await Proxy(loses_its_responder, answers).post()).status_code == 200
    proxy = Proxy(loses_its_responder)
    assert (await proxy.post()).status_code == 502
    assert len(proxy.asked) == 1 + LOST_WRITING_TIMES


async def test_a_change_of_releases_is_not_made_twice() -> None:
    for end in (dies, loses_its_responder):
        proxy = Proxy(end, answers)
        reply = await proxy.post("/v1/admin/adapters/rollback")
        assert (reply.status_code, len(proxy.asked)) == (502, 1)


async def test_a_page_that_may_read_the_ingress_may_read_what_is_said_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    friend, timeout = "https://friend.example", {"x-request-timeout-ms": "50"}
    stranger = await Proxy(hangs).post(**timeout, origin=friend)
    monkeypatch.setenv(middleware.INGRESS_VARIABLE, IngressConfig(cors_origins=(friend,)).model_dump_json())
    reply = await Proxy(hangs).post(**timeout, origin=friend)
    assert (stranger.status_code, reply.status_code) == (504, 504)
    assert "access-control-allow-origin" not in stranger.headers
    assert reply.headers["access-control-allow-origin"] == friend


@pytest.mark.parametrize("end", [dies, hangs])
async def test_the_deadline_holds_even_if_no_ingress_comes_back(end: Way) -> None:
    began_s = time.monotonic()
    reply = await Proxy(end).post(**{"x-request-timeout-ms": "200", "x-request-id": "mine"})
    assert (reply.status_code, reply.json()["type"]) == (504, "urn:face-your-emotions:deadline-exceeded")
    assert reply.headers["x-request-id"] == "mine"
    assert 0.2 < time.monotonic() - began_s < 1


async def test_a_stream_that_hangs_ends_at_its_deadline_with_an_error() -> None:
    reply = await Proxy(hangs_in_the_middle).post(**{"x-request-timeout-ms": "200"})
    assert "event: error" in reply.text
    assert "deadline-exceeded" in reply.text


async def test_the_default_timeout_is_the_graphs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(middleware.INGRESS_VARIABLE, IngressConfig(default_timeout_ms=150).model_dump_json())
    assert (await Proxy(hangs).post()).status_code == 504


async def test_who_has_left_is_not_asked_for_again() -> None:
    async def left(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.disconnect"

    given = iter([{"type": "http.request", "body": b"{}"}, {"type": "http.disconnect"}])
    proxy = Proxy(left)
    sent: list[Any] = []

    async def receive() -> Any:
        return next(given)

    async def send(message: Any) -> None:
        sent.append(message)

    await Front(proxy)({"type": "http", "path": OWN, "headers": []}, receive, send)
    assert (len(proxy.asked), sent) == (1, [])


async def test_an_answer_passes_as_it_is() -> None:
    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        async def parts() -> Any:
            yield "one "
            yield "two"

        await StreamingResponse(parts(), headers={"x-own": "1"})(scope, receive, send)

    async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("later", 429, {"retry-after": "3"})(scope, receive, send)

    streamed, refused = await Proxy(streams).post(), await Proxy(refuses).post()
    assert (streamed.text, streamed.headers["x-own"]) == ("one two", "1")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "3")


async def dropped(scope: Scope, receive: Receive, send: Send) -> None:
    """What Serve says where the ingress' queue is full."""
    await PlainTextResponse("Request dropped due to backpressure", 429, {"retry-after": "5"})(scope, receive, send)


async def unavailable(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("Deployment is unavailable", 503)(scope, receive, send)


async def test_serves_own_refusals_are_told_in_our_words(capsys: pytest.CaptureFixture[str]) -> None:
    proxy = Proxy(dropped)
    reply = await proxy.post(**{"x-request-id": "mine"})
    assert (reply.status_code, reply.headers["retry-after"], reply.headers["x-request-id"]) == (429, "5", "mine")
    assert (reply.headers["content-type"], reply.json()["type"]) == ("application/problem+json", "urn:face-your-emotions:overloaded")
    assert len(proxy.asked) == 1
    [line] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["event"], line["call"], line["outcome"], line["x_request_id"]) == ("request", "respond", "refused", "mine")
    assert (await Proxy(dropped).post(CHAT)).json()["error"]["code"] == "overloaded"
    reply = await Proxy(unavailable).post()
    assert (reply.status_code, reply.json()["type"]) == (503, "urn:face-your-emotions:not-ready")


async def is_full(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"type": "urn:face-your-emotions:overloaded"}, 429, {"retry-after": "7"})(scope, receive, send)


async def used_up(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"type": "urn:face-your-emotions:rate-limited"}, 429, {"retry-after": "7"})(scope, receive, send)


@pytest.mark.parametrize(("says", "asked"), [(is_full, 1), (dropped, 1), (used_up, 2), (answers, 2)])
async def test_while_the_ingress_is_full_answers_are_refused_before_it(says: Way, asked: int) -> None:
    proxy = Proxy(says)
    through = Front(proxy)
    first, second = await proxy.post(through=through), await proxy.post(CHAT, through=through)
    assert len(proxy.asked) == asked
    assert (second.status_code, second.headers.get("retry-after")) == (first.status_code, first.headers.get("retry-after"))
    if asked == 1:
        assert second.json()["error"]["code"] == "overloaded"


async def test_that_holds_until_an_answer_ends() -> None:
    over = asyncio.Event()

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        await over.wait()
        await answers(scope, receive, send)

    proxy = Proxy(waits, is_full, answers)
    through = Front(proxy)
    held = asyncio.create_task(proxy.post(through=through))
    await asyncio.sleep(0.05)
    assert [(await proxy.post(through=through)).status_code for _ in range(3)] == [429] * 3
    assert (await proxy.post("/v1/detect", through=through)).status_code == 200  # there may be places for texts
    assert len(proxy.asked) == 3
    over.set()
    assert (await held).status_code == 200
    assert (await proxy.post(through=through)).status_code == 200


async def test_a_request_that_is_asked_again_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[dict[str, str]] = []
    monkeypatch.setattr(metrics.Counter, "inc", lambda self, value=1.0, tags=None: found.append({self.info["name"]: tags["stage"]}))
    await Proxy(dies, dies, answers).post()
    assert found == [{"fye_retries": "ingress"}] * 2


async def test_a_body_takes_no_place_of_the_ingress_until_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(middleware.INGRESS_VARIABLE, IngressConfig(body_timeout_s=0.2).model_dump_json())

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" "
            await asyncio.sleep(0.05)

    proxy = Proxy(answers)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(Front(proxy)), base_url="http://here") as client:
        reply = await client.post(OWN, content=slow())
    assert (reply.status_code, reply.json()["type"], proxy.asked) == (408, "urn:face-your-emotions:slow-body", [])


async def test_a_client_that_does_not_read_is_dropped_and_its_answer_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a real socket: what is sent fills the buffers of both sides, and then waits for the client."""
    monkeypatch.setenv(middleware.INGRESS_VARIABLE, IngressConfig(send_timeout_s=0.3).model_dump_json())
    given_up = asyncio.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"data: " + b"x" * 2**16, "more_body": True})
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            given_up.set()

    server = uvicorn.Server(uvicorn.Config(Front(endless), port=0, log_level="critical", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as client:
        serving = asyncio.create_task(server.serve([listening]))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(listening.getsockname())
        client.sendall(b"GET /v1/respond HTTP/1.1\r\nhost: here\r\n\r\n")
        await asyncio.wait_for(given_up.wait(), 5)
        server.should_exit = server.force_exit = True
        await serving
