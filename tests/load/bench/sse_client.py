"""A cheap client of streamed chat completions, on raw sockets and in a process of its own.

In its own process its CPU time is told apart from the server's. It parses no JSON.
`users` runs a closed loop of users and prints its counters for every line on stdin.
`streams` opens many streams, keeps all of them open at once, and prints when their tokens came.
"""

import asyncio
import gc
import itertools
import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit

import typer

from load.harness.workload import synthetic_requests

LIMIT = 2**20  # bytes of one answer
END = b"\r\n0\r\n\r\n"  # the last chunk of a chunked body
CONTENT = re.compile(rb'"content": ?"((?:[^"\\]|\\.)*)"')
SEED = 16
LAG_PERIOD_S = 0.01
app = typer.Typer()


@dataclass
class Counters:
    """Totals of a closed loop so far."""

    answers: int = 0
    events: int = 0  # server-sent ones
    cpu_s: float = 0.0  # of this client


@dataclass
class Stream:
    """One paced stream: when its request was sent, and how many tokens had come at which time."""

    sent_s: float = 0.0
    arrivals: list[tuple[float, int]] = field(default_factory=list)


class Connection:
    """A keep-alive connection that sends one request after the other."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.StreamReader | None = None

    async def start_answer(self, request: bytes) -> asyncio.StreamReader:
        """Send a request and read the head of its reply.

        Raises:
            RuntimeError: the reply is not a chunked 200.
        """
        if self._writer is None or self._reader is None:
            self._reader, self._writer = await asyncio.open_connection(
                self._host, self._port, limit=LIMIT
            )
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if b" 200 " not in head.split(b"\r\n", 1)[0] or b"transfer-encoding: chunked" not in head:
            raise RuntimeError(f"expected a chunked 200, got {head!r}")
        return self._reader

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def requests(url: str, model: str, tokens: int) -> Iterator[bytes]:
    """Yield requests for streamed answers of exactly `tokens` tokens, with different messages."""
    for message in synthetic_requests(SEED):
        body = {
            "model": model,
            "messages": [{"role": "user", "content": message.text}],
            "stream": True,
            "max_tokens": tokens,
            "ignore_eos": True,
        }
        payload = json.dumps(body).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: {urlsplit(url).netloc}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(payload)}\r\n\r\n"
        )
        yield head.encode() + payload


async def closed_loop(url: str, pool: list[bytes], users: int, counters: Counters) -> None:
    """Run users who each ask again as soon as their answer is complete. Never returns."""
    sources = itertools.cycle(pool)

    async def user() -> None:
        connection = Connection(url)
        while True:
            reader = await connection.start_answer(next(sources))
            body = await reader.readuntil(END)
            if b"[DONE]" not in body or b'"error"' in body:
                raise RuntimeError(f"an answer failed: {body[-500:]!r}")
            counters.answers += 1
            counters.events += body.count(b"data: ")

    async with asyncio.TaskGroup() as group:
        for _ in range(users):
            group.create_task(user())


async def report_counters(counters: Counters) -> None:
    """Print the counters for every line on stdin, until it ends."""
    stdin = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(stdin)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while await stdin.readline():
        counters.cpu_s = time.process_time()
        print(json.dumps(asdict(counters)), flush=True)


async def read_stream(url: str, request: bytes, tokens: int) -> Stream:
    """Read one stream and note when its tokens came. Raises RuntimeError if it is incomplete."""
    connection, stream = Connection(url), Stream(time.monotonic())
    reader = await connection.start_answer(request)
    count, pending = 0, b""
    while not pending.endswith(END):
        data = await reader.read(LIMIT)
        arrived_s = time.monotonic()
        if not data:
            raise RuntimeError(f"a stream was cut after {count} of {tokens} tokens")
        whole, separator, pending = (pending + data).rpartition(b"\n\n")
        new = count_words(whole) if separator else 0
        if new:
            count += new
            stream.arrivals.append((arrived_s, count))
    connection.close()
    if count != tokens:
        raise RuntimeError(f"a stream has {count} tokens, expected {tokens}")
    return stream


def count_words(events: bytes) -> int:
    """Count the words in the text of some events; each token of the scripted engine is one word."""
    return sum(len(content.split()) for content in CONTENT.findall(events))


async def watch_lag(lags: list[tuple[float, float]]) -> None:
    """Append how late this process' own event loop was, and when. Never returns."""
    while True:
        due_s = time.monotonic() + LAG_PERIOD_S
        await asyncio.sleep(LAG_PERIOD_S)
        lags.append((time.monotonic(), time.monotonic() - due_s))


async def paced_streams(url: str, pool: list[bytes], tokens: int, ramp_s: float) -> list[Stream]:
    """Start the streams evenly over `ramp_s`, and read all of them to their end."""

    async def one(number: int, request: bytes) -> Stream:
        await asyncio.sleep(number * ramp_s / len(pool))
        return await read_stream(url, request, tokens)

    return list(await asyncio.gather(*(one(*numbered) for numbered in enumerate(pool))))


@app.command("users")
def run_users(url: str, users: int, tokens: int, model: str = "auto", pool: int = 256) -> None:
    """Run a closed loop until stdin ends; print the counters for every line on stdin."""

    async def run() -> None:
        counters = Counters()
        texts = list(itertools.islice(requests(url, model, tokens), pool))
        loop = asyncio.create_task(closed_loop(url, texts, users, counters))
        reports = asyncio.create_task(report_counters(counters))
        done, _ = await asyncio.wait((loop, reports), return_when=asyncio.FIRST_COMPLETED)
        loop.cancel()
        for task in done:
            task.result()

    asyncio.run(run())


@app.command("streams")
def run_streams(url: str, count: int, tokens: int, ramp_s: float, model: str = "auto") -> None:
    """Open streams over `ramp_s` seconds; print their arrivals and this client's own lag."""

    async def run() -> None:
        lags: list[tuple[float, float]] = []
        texts = list(itertools.islice(requests(url, model, tokens), count))
        gc.disable()  # a collection among so many tasks delays all of them
        watch = asyncio.create_task(watch_lag(lags))
        found = await paced_streams(url, texts, tokens, ramp_s)
        watch.cancel()
        report = {
            "client_lags": lags,
            "client_cpu_s": time.process_time(),
            "streams": [asdict(stream) for stream in found],
        }
        print(json.dumps(report), flush=True)

    asyncio.run(run())


if __name__ == "__main__":
    app()
