"""Connections of clients that do not speak HTTP as they should."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from load.chaos.verdict import FaultMissed, PromiseBroken

LIMIT_S = 60.0  # for a connection to end
PART = 65_536
DRIBBLE_S = 1.0
MOST_TAKEN = 32 * 2**20  # bytes that a connection may take in, buffers of the system included
Parts = AsyncIterator[bytes]


@dataclass(frozen=True)
class Attack:
    """What a client sends, and how that may end.

    Attributes:
        parts: starts what is sent on one connection.
        statuses: allowed ones.
        may_close: whether the connection may be closed without a response.
    """

    parts: Callable[[], Parts]
    statuses: frozenset[int]
    may_close: bool = False


@dataclass(frozen=True)
class Exchange:
    """End of one connection: the status of the response, or what became of it without one."""

    end: int | Literal["closed", "open"]
    sent: int


async def attack(url: str, attacks: Mapping[str, Attack], connections: int) -> str:
    """Run each attack on many connections, all at once, and describe how they ended.

    Raises:
        FaultMissed: not one of the connections got a response.
        PromiseBroken: a connection did not end, ended in another way, or took in too much.
    """
    names = [name for name in attacks for _ in range(connections)]
    ends = await asyncio.gather(*(exchange(url, attacks[name].parts()) for name in names))
    for name, found in zip(names, ends, strict=True):
        problem = problem_of(attacks[name], found)
        if problem:
            raise PromiseBroken(f"{name}: {problem}")
    if not any(isinstance(found.end, int) for found in ends):
        raise FaultMissed("no connection got a response")
    counts = Counter((name, found.end) for name, found in zip(names, ends, strict=True))
    return ", ".join(f"{count} x {name}: {end}" for (name, end), count in counts.items())


def problem_of(attack: Attack, found: Exchange) -> str | None:
    """Return what is wrong with the end of a connection, or None."""
    allowed = attack.statuses | ({"closed"} if attack.may_close else set())
    if found.end not in allowed:
        return f"the connection ended with {found.end}, expected one of {sorted(map(str, allowed))}"
    return f"{found.sent} bytes were taken in" if found.sent > MOST_TAKEN else None


async def exchange(url: str, parts: Parts) -> Exchange:
    """Send until there is a response, the connection is closed, or it has taken too long.

    The socket is used directly, since a stream of asyncio that fails to write also drops what it
    could still read.
    """
    address = urlsplit(url)
    loop = asyncio.get_running_loop()
    sent = 0
    end: int | Literal["closed", "open"] = "open"

    async def send() -> None:
        nonlocal sent
        async for part in parts:
            await loop.sock_sendall(connection, part)
            sent += len(part)

    with socket.socket() as connection:
        connection.setblocking(False)
        with suppress(TimeoutError):
            async with asyncio.timeout(LIMIT_S):
                await loop.sock_connect(connection, (address.hostname, address.port))
                sender = asyncio.create_task(send())
                try:
                    end = await _status(connection)
                finally:
                    sender.cancel()
                    await asyncio.gather(sender, return_exceptions=True)
    return Exchange(end, sent)


async def _status(connection: socket.socket) -> int | Literal["closed"]:
    """Return the status of the response."""
    found = b""
    with suppress(ConnectionError):
        while b"\r\n" not in found:
            received = await asyncio.get_running_loop().sock_recv(connection, PART)
            if not received:
                break
            found += received
    words = found.split()
    return int(words[1]) if len(words) > 1 else "closed"


async def endless(head: bytes, part: bytes) -> Parts:
    """Yield a head, then the same part for ever."""
    yield head
    while True:
        yield part
        await asyncio.sleep(0)


async def dribbled(head: bytes, part: bytes) -> Parts:
    """Yield a head, then the same part once a second for ever."""
    yield head
    while True:
        await asyncio.sleep(DRIBBLE_S)
        yield part


async def whole(*parts: bytes) -> Parts:
    """Yield some parts, then nothing more."""
    for part in parts:
        yield part
