"""HAProxy itself with our configuration, in front of two servers on loopback."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from serve.proxy.drain import running_requests, stop_accepting
from support.haproxy import (
    Behaviour,
    Generated,
    Replicas,
    close,
    good,
    hang,
    reset,
    running_haproxy,
)


@pytest.fixture
async def replicas(generated: Generated, tmp_path: Path) -> AsyncIterator[Replicas]:
    """Two servers behind HAProxy, whose timeout of a client is a second."""
    async with running_haproxy(generated.deployed, tmp_path) as replicas:
        yield replicas


def slug(response: httpx.Response) -> str:
    """Return the slug of problem details."""
    assert response.headers["content-type"] == "application/problem+json"
    return str(response.json()["type"]).rpartition(":")[2]


async def wait_for_running(folder: Path, expected: int) -> None:
    """Wait until HAProxy has that many requests."""
    for _ in range(1000):
        if running_requests(folder) == expected:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{running_requests(folder)} requests run, expected {expected}")


async def test_draining_ends_new_requests_and_lets_running_ones_finish(
    replicas: Replicas, tmp_path: Path
) -> None:
    release = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await good(reader, writer)

    async with replicas.client() as kept:
        assert (await kept.get("/v1/models")).text == "good"
        assert running_requests(tmp_path) == 0, "a kept connection is no request"
        replicas.script = [slow]
        running = asyncio.create_task(replicas.post(x_request_timeout_ms="300000"))
        await wait_for_running(tmp_path, 1)
        await asyncio.to_thread(stop_accepting, tmp_path)
        with pytest.raises(httpx.ConnectError):
            await replicas.get("/v1/models")
        assert slug(await kept.get("/v1/models")) == "not-ready"
        assert (await kept.get("/healthz")).status_code == 200
        assert running_requests(tmp_path) == 1
        release.set()
        assert (await running).text == "good"
    await wait_for_running(tmp_path, 0)


async def test_balances_over_the_replicas(replicas: Replicas) -> None:
    replies = [await replicas.post() for _ in range(6)]
    assert {reply.text for reply in replies} == {"good"}
    assert set(replicas.reached) == {"r1", "r2"}


@pytest.mark.parametrize("end", [close, reset])
async def test_repeats_a_request_whose_replica_died(replicas: Replicas, end: Behaviour) -> None:
    replicas.script = [end]
    reply = await replicas.post()
    assert (reply.status_code, reply.text) == (200, "good")
    assert sorted(replicas.reached) == ["r1", "r2"]
    first, second = (text.partition("\r\n\r\n")[2] for _, text in replicas.requests)
    assert json.loads(first) == json.loads(second) == {"text": "hello"}


@pytest.mark.parametrize("end", [close, reset])
async def test_attempts_of_a_request_have_one_unique_id(replicas: Replicas, end: Behaviour) -> None:
    """`serve.pipeline.attempts` counts them by it, so a client must not choose it."""
    replicas.script = [end]
    await replicas.post(x_fye_unique_id="mine")
    await replicas.post(x_fye_unique_id="mine")
    ids = [header(text, "x-fye-unique-id") for _, text in replicas.requests]
    assert len(ids) == 3
    assert ids[0] == ids[1] != ids[2]
    assert "mine" not in ids


def header(text: str, name: str) -> str | None:
    """Return the only value of a header of a request, None if it is missing."""
    lines = text.partition("\r\n\r\n")[0].split("\r\n")[1:]
    found = [value for key, _, value in (line.partition(": ") for line in lines) if key == name]
    assert len(found) <= 1
    return found[0] if found else None


@pytest.mark.parametrize(
    ("given", "forwarded"),
    [("theirs-1.2_3", True), ("a" * 64, True), ("a" * 65, False), ("a b", False), ("é", False)],
)
async def test_only_valid_request_ids_are_forwarded(
    replicas: Replicas, given: str, forwarded: bool
) -> None:
    async with replicas.client() as client:
        await client.get("/", headers={b"x-request-id": given.encode()})
    found = header(replicas.requests[0][1], "x-request-id")
    assert (found == given) is forwarded
    assert found, "a request without a valid id gets one"


@pytest.mark.parametrize("end", [close, reset])
async def test_administration_is_never_repeated(replicas: Replicas, end: Behaviour) -> None:
    replicas.script = [end]
    reply = await replicas.post("/v1/admin/adapters/rollback")
    assert (reply.status_code, slug(reply)) == (502, "replica-failed")
    assert len(replicas.requests) == 1


async def test_its_own_errors_can_be_read_by_pages_and_have_the_requests_id(
    replicas: Replicas,
) -> None:
    replicas.script = [close] * 50
    reply = await replicas.post(x_request_id="call-1", origin="https://friend.example")
    assert reply.status_code == 502
    assert reply.headers["x-request-id"] == "call-1"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "x-request-id" in reply.headers["access-control-expose-headers"]


async def test_headers_larger_than_its_buffer_are_rejected_at_once(replicas: Replicas) -> None:
    answer = await asyncio.to_thread(send_large_headers, replicas.address)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert replicas.requests == []


def send_large_headers(address: str) -> bytes:
    """Send headers until the connection is reset, and return the answer.

    asyncio would forget an answer that came before the reset.
    """
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as client:
        with suppress(ConnectionError):
            client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n")
            for _ in range(64):
                client.sendall(b"x-large: " + b"a" * 65536 + b"\r\n")
        return client.recv(64)


async def test_large_requests_are_not_held_while_no_replica_is_up(
    generated: Generated, tmp_path: Path
) -> None:
    async with running_haproxy(generated.deployed, tmp_path, listening=("fallback",)) as replicas:
        async with replicas.client() as client:
            until_s = time.monotonic() + 30
            while (await client.post("/", content=b"a" * 70_000)).status_code != 503:
                assert time.monotonic() < until_s  # the replicas are not yet known to be down
                await asyncio.sleep(0.1)
            small = await client.post("/", content=b"a" * 1000)
            large = await client.post("/", content=b"a" * 70_000)
            chunked = await client.post("/", content=parts())
        assert [reply.status_code for reply in (small, large, chunked)] == [200, 503, 503]
        assert large.headers["retry-after"] == "1"


async def parts() -> AsyncIterator[bytes]:
    yield b"a"


async def test_request_that_kills_every_replica_ends_with_502(replicas: Replicas) -> None:
    """HAProxy counts an attempt on the other server separately from its retries."""
    replicas.script = [close] * 50
    reply = await replicas.post()
    assert (reply.status_code, slug(reply)) == (502, "replica-failed")
    assert len(replicas.requests) < 20


async def test_refused_connection_goes_to_the_other_replica(
    generated: Generated, tmp_path: Path
) -> None:
    async with running_haproxy(generated.deployed, tmp_path, listening=("r2",)) as replicas:
        replies = [await replicas.post() for _ in range(4)]
        assert {reply.text for reply in replies} == {"good"}
        assert replicas.reached == ["r2"] * 4


async def test_without_a_replica_it_answers_itself(generated: Generated, tmp_path: Path) -> None:
    async with running_haproxy(generated.deployed, tmp_path, listening=()) as replicas:
        assert await noticed_death(replicas)
        for reply in (await replicas.post(), await replicas.get("/readyz")):
            assert (reply.status_code, slug(reply)) == (503, "not-ready")
            assert reply.headers["retry-after"] == "1"
        for path in ("/healthz", "/health"):
            alive = await replicas.get(path)
            assert (alive.status_code, alive.json()) == (200, {"status": "alive"})


async def noticed_death(replicas: Replicas) -> bool:
    """Wait until HAProxy answers for replicas that are gone."""
    for _ in range(60):
        if (await replicas.get("/healthz")).status_code == 200:
            return True
        await asyncio.sleep(0.05)
    return False


async def test_silent_replica_ends_with_504(replicas: Replicas) -> None:
    """Two seconds after the request's own timeout, so that a replica answers first."""
    replicas.script = [hang]
    began_s = time.monotonic()
    reply = await replicas.post(x_request_timeout_ms="100")
    assert (reply.status_code, slug(reply)) == (504, "deadline-exceeded")
    assert 2 < time.monotonic() - began_s < 8, "the timeout of a request without one is 8 s"
    assert len(replicas.requests) == 1


def reply_of(status: int, content_type: str) -> Behaviour:
    """Return the behaviour of a server that sends an error."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} Error\r\ncontent-type: {content_type}\r\ncontent-length: 4"
        writer.write(f"{head}\r\n\r\ntext".encode())

    return reply


@pytest.mark.parametrize(
    ("found", "status", "expected"),
    [(500, 502, "replica-failed"), (503, 503, "not-ready"), (408, 504, "deadline-exceeded")],
)
async def test_plain_errors_of_serve_become_problem_details(
    replicas: Replicas, found: int, status: int, expected: str
) -> None:
    """Serve's own proxy holds requests while no replica is up, and answers in plain text."""
    replicas.script = [reply_of(found, "text/plain; charset=utf-8")]
    reply = await replicas.post()
    assert (reply.status_code, slug(reply), reply.json()["status"]) == (status, expected, status)
    assert ("retry-after" in reply.headers) is (status == 503)


@pytest.mark.parametrize("status", [408, 500, 503, 429])
async def test_errors_of_a_replica_are_left_alone(replicas: Replicas, status: int) -> None:
    replicas.script = [reply_of(status, "application/problem+json")]
    reply = await replicas.post()
    assert (reply.status_code, reply.text) == (status, "text")
    assert len(replicas.requests) == 1


async def test_slow_body_ends_with_408(replicas: Replicas) -> None:
    reader, writer = await asyncio.open_connection(*replicas.address.split(":"))
    writer.write(b"POST /v1/respond HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\n{")
    async with asyncio.timeout(30):
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    assert head.startswith("HTTP/1.1 408 ")
    assert json.loads(body)["status"] == 408
    assert replicas.requests == []


async def test_request_larger_than_the_buffer_is_forwarded(replicas: Replicas) -> None:
    async with replicas.client() as client:
        reply = await client.post("/v1/respond", content=b"x" * 2**20)
    assert reply.text == "good"
    assert replicas.requests[0][1].endswith("x" * 2**20)


@pytest.mark.parametrize("end", [close, reset])
async def test_request_larger_than_the_buffer_is_not_repeated(
    replicas: Replicas, end: Behaviour
) -> None:
    replicas.script = [end]
    async with replicas.client() as client:
        reply = await client.post("/v1/respond", content=b"x" * 2**20)
    assert (reply.status_code, slug(reply)) == (502, "replica-failed")
    assert len(replicas.requests) == 1


@pytest.mark.parametrize("end", [close, reset])
async def test_request_that_waits_for_100_continue_is_not_repeated(
    replicas: Replicas, end: Behaviour
) -> None:
    replicas.script = [end]
    reader, writer = await asyncio.open_connection(*replicas.address.split(":"))
    lines = ["POST /v1/respond HTTP/1.1", "host: test", "content-length: 9", "expect: 100-continue"]
    writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode())
    async with asyncio.timeout(30):
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    assert head.startswith("HTTP/1.1 502 ")
    assert json.loads(body)["type"].endswith(":replica-failed")
    assert len(replicas.requests) == 1


@pytest.mark.parametrize("end", [close, reset])
async def test_stream_cut_in_the_middle_is_an_incomplete_body(
    replicas: Replicas, end: Behaviour
) -> None:
    seen = asyncio.Event()

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await begin_stream(writer)
        await seen.wait()
        await end(reader, writer)

    replicas.script = [cut]
    received = list[bytes]()
    with pytest.raises(httpx.RemoteProtocolError):
        await read_stream(replicas, received, seen)
    assert b"".join(received) == b"data: one\n\n"
    assert len(replicas.requests) == 1


async def read_stream(replicas: Replicas, received: list[bytes], seen: asyncio.Event) -> None:
    async with replicas.client() as client, client.stream("POST", "/v1/respond") as reply:
        assert reply.status_code == 200
        async for part in reply.aiter_bytes():
            received.append(part)
            seen.set()


async def begin_stream(writer: asyncio.StreamWriter) -> None:
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked"
    writer.write(f"{head}\r\n\r\nb\r\ndata: one\n\n\r\n".encode())
    await writer.drain()


async def test_parts_of_a_stream_are_forwarded_at_once(replicas: Replicas) -> None:
    ended = asyncio.Event()

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await begin_stream(writer)
        await ended.wait()
        writer.write(b"0\r\n\r\n")

    replicas.script = [stream]
    async with replicas.client() as client, client.stream("POST", "/v1/respond") as reply:
        parts = reply.aiter_bytes()
        assert await anext(parts) == b"data: one\n\n"
        ended.set()
        assert [part async for part in parts] == []


async def test_slow_answer_arrives_after_the_timeout_of_a_client(replicas: Replicas) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1.5)  # the timeout is 1 s
        await good(reader, writer)

    replicas.script = [slow]
    assert (await replicas.post(x_request_timeout_ms="9000")).text == "good"


async def test_client_that_disconnects_ends_its_request(replicas: Replicas) -> None:
    left = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:  # HAProxy resets the connection
            left.set()

    replicas.script = [wait]
    async with replicas.client() as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/v1/respond", json={}, timeout=0.1)
    async with asyncio.timeout(30):
        await left.wait()


async def test_client_that_does_not_read_is_dropped(replicas: Replicas) -> None:
    """After the timeout of a client, once the buffers on the way are full."""
    dropped = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
                await writer.drain()
        finally:
            dropped.set()

    replicas.script = [endless]
    host, port = replicas.address.split(":")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((host, int(port)))
        client.sendall(b"GET /v1/respond HTTP/1.1\r\nhost: test\r\n\r\n")
        async with asyncio.timeout(30):
            await dropped.wait()
