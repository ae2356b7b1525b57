"""Server-sent events: the response of a streamed answer, in either API.

The response starts with the first event, so what fails before that is an HTTP error like any
other. What fails later becomes an error event, never a clean end. The chunked body of a stream
whose process dies is not terminated, which every HTTP client reports as an error.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serve.api.problem_details import Problem, headers_of, problem_of, respond_with
from serve.api.requests import EMOTION
from serve.pipeline.answer import Answer, AnswerWriter

log = logging.getLogger(__name__)
PING_INTERVAL_S = 15.0
ERROR_TIMEOUT_S = 1.0  # for a client to read the last event
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
STREAM_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {}},
        "description": "with `stream`: events emotion, safety, delta, done, error",
    }
}


class EventStream:
    """Sender of events over ASGI. Comments keep an idle connection open."""

    def __init__(self, send: Send, headers: Mapping[str, str] | None = None) -> None:
        """Send through `send`, with additional headers. Nothing is sent yet."""
        self._send = send
        self._headers = headers or {}
        self._ping: asyncio.TimerHandle | None = None
        self._pinging: asyncio.Future[None] | None = None
        self.started = False

    async def send(self, data: str, event: str | None = None) -> None:
        """Send one event. `data` must not contain line breaks."""
        # OpenAI's form of line breaks; `vllm bench serve` looks for no other.
        head = f"event: {event}\n" if event else ""
        await self._write(f"{head}data: {data}\n\n".encode())

    async def start(self, answer: Answer) -> None:
        """Start the response; the emotion is one of its headers."""
        headers = list(HEADERS)
        headers += [(name.encode(), value.encode()) for name, value in self._headers.items()]
        if answer.emotion:
            headers.append((EMOTION.encode(), answer.emotion.label.encode()))
        self.started = True
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        self._ping = asyncio.get_running_loop().call_later(PING_INTERVAL_S, self._send_ping)

    async def close(self) -> None:
        """End the response."""
        self.stop_pings()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def stop_pings(self) -> None:
        """Stop the comments. The response goes on."""
        if self._ping:
            self._ping.cancel()
        if self._pinging:
            self._pinging.cancel()  # it may wait for the client, and nothing may follow the end

    async def _write(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    def _send_ping(self) -> None:
        # A client that does not read gets one ping. `stop_pings` would not know of others.
        if self._pinging is None or self._pinging.done():
            self._pinging = asyncio.ensure_future(self._write(b": ping\n\n"))
        self._ping = asyncio.get_running_loop().call_later(PING_INTERVAL_S, self._send_ping)


class StreamWriter(AnswerWriter, Protocol):
    """Writer of an answer as events."""

    async def error(self, problem: Problem) -> None:
        """Write an error that ends the stream."""
        ...


class StreamingReply(Response):
    """Response that makes its answer while it is sent."""

    def __init__(
        self,
        run: Callable[[AnswerWriter], Awaitable[object]],
        writer_for: Callable[[EventStream], StreamWriter],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Call `run` with the writer of the response once it is sent.

        Args:
            run: makes the answer.
            writer_for: makes the writer.
            headers: additional headers of a response that is no error.
        """
        super().__init__()
        self._stream_headers = headers
        self._run = run
        self._writer_for = writer_for

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response. A disconnected client cancels it."""
        stream = EventStream(send, self._stream_headers)
        writer = self._writer_for(stream)
        try:
            await self._run(writer)
            await stream.close()
        except Exception as error:  # noqa: BLE001 (every error is reported to the client)
            request = Request(scope)
            problem = problem_of(error, request.state.request_id)
            if stream.started:
                await _end_with(stream, writer, problem)
            else:
                response = respond_with(request, problem, headers_of(error))
                await response(scope, receive, send)
        finally:
            stream.stop_pings()


async def _end_with(stream: EventStream, writer: StreamWriter, problem: Problem) -> None:
    """Write the error and end the stream. A client that does not read is not waited for."""
    with suppress(TimeoutError):
        async with asyncio.timeout(ERROR_TIMEOUT_S):
            await writer.error(problem)
            await stream.close()
