"""Attacks of the chaos test: what is sent, and which ends are allowed."""

import asyncio
import json
from typing import Literal

import pytest

from load.chaos.faults.bodies import giant_bodies
from load.chaos.faults.raw_http import MOST_TAKEN, Attack, Exchange, exchange, problem_of, whole

LIMIT = 2048


def attack(may_close: bool = False) -> Attack:
    return Attack(lambda: whole(b"a"), frozenset({400}), may_close)


@pytest.mark.parametrize(
    ("may_close", "found", "problem"),
    [
        (False, Exchange(400, 1), None),
        (True, Exchange("closed", 1), None),
        (False, Exchange("closed", 1), "closed"),
        (False, Exchange(200, 1), "200"),
        (True, Exchange("open", 1), "open"),
        (False, Exchange(400, MOST_TAKEN + 1), "taken in"),
    ],
)
def test_only_allowed_ends_are_no_problem(
    may_close: bool, found: Exchange, problem: str | None
) -> None:
    result = problem_of(attack(may_close), found)
    assert (result is None) if problem is None else (problem in str(result))


@pytest.mark.parametrize("limit", [LIMIT, LIMIT + 1])
async def test_body_at_the_limit_is_json_of_exactly_that_size(limit: int) -> None:
    parts = [part async for part in giant_bodies(limit)["at the limit"].parts()]
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    assert f"content-length: {limit}" in head.decode().split("\r\n")
    assert len(body) == limit
    assert len(json.loads(body)["text"]) > limit / 2


@pytest.mark.parametrize(
    ("reply", "end"), [(b"HTTP/1.1 413 Too Large\r\n\r\n", 413), (b"", "closed")]
)
async def test_exchange_reads_the_status(reply: bytes, end: int | Literal["closed"]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(4)
        writer.write(reply)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        found = await exchange(f"http://127.0.0.1:{port}", whole(b"ab", b"cd"))
    assert found == Exchange(end, 4)
