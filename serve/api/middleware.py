"""Request middleware: assigns id and start time, checks headers, reads the body within limits.

What the headers alone show to be wrong is rejected before the body is read. A body that is too
large or too slow is rejected before anything is parsed. Requests that end
before the pipeline has seen them are recorded here. Nothing gets past it as an exception, because
the HTTP server would log it with the user text that it may hold.
"""

import asyncio
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.api.dependencies import Gatekeeper
from serve.api.problem_details import headers_of, problem_of, respond_with
from serve.api.requests import CALLS, REQUEST_ID, UNIQUE_ID, call_of, request_id_of
from serve.api.wire.content_encoding import decoded
from serve.config import HttpConfig
from serve.errors import TOO_MANY, BodyTooLarge, Overloaded, RequestError, RetryLater, SlowBody
from serve.pipeline.attempts import Attempts
from serve.pipeline.request_metrics import RequestLog

CLIENT_ERROR = 400
SERVER_ERROR = 500


class RequestMiddleware:
    """ASGI middleware around the HTTP application.

    It sets in `scope["state"]`: `began_s` of `time.monotonic`, and `request_id`. A route whose end
    is recorded elsewhere sets `recorded` there. The response's x-request-id is added by Serve.
    """

    def __init__(
        self, app: ASGIApp, config: HttpConfig, gatekeeper: Gatekeeper, attempts: Attempts
    ) -> None:
        """Wrap `app`."""
        self._app = app
        self._config = config
        self._gatekeeper = gatekeeper
        self._attempts = attempts
        self._bytes = BytesInFlight(config.max_bytes_in_flight)
        self._log = RequestLog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        state.update(began_s=time.monotonic(), request_id=request_id_of(headers.get(REQUEST_ID)))
        status: int | None = None

        async def noting_status(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._answer(scope, headers, receive, noting_status)
        except ClientDisconnect:
            return  # no client is left to read a response
        except Exception as error:  # noqa: BLE001 (see the module's docstring)
            if status is None:
                await _send_problem(scope, receive, noting_status, error)
            else:
                problem_of(error, state["request_id"])  # logs it
        finally:
            self._record(scope, status)

    async def _answer(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        with self._bytes.hold() as held:
            try:
                self._gatekeeper.check(scope["method"], scope["path"], headers)
                body = await self._body(headers, receive, held)
            except RequestError as error:
                close = {"connection": "close"}
                await _send_problem(scope, receive, send, error, headers_of(error) | close)
                return
            unique_id = headers.get(UNIQUE_ID) if scope["path"] in CALLS else None
            with self._attempts.enter(unique_id):
                await self._app(scope, _replayed(body, receive), send)

    def _record(self, scope: Scope, status: int | None) -> None:
        """Record requests that the pipeline did not see. Unknown paths may hold user text."""
        call = call_of(scope["path"])
        if call and not scope["state"].get("recorded", False):
            outcome = _outcome(status)
            self._log.record(call, outcome, scope["state"]["request_id"], status=status)

    async def _body(self, headers: Headers, receive: Receive, held: "Held") -> bytes:
        """Return the body without its content encoding. Raises RequestError or ClientDisconnect."""
        limit = self._config.max_body_bytes
        declared = headers.get("content-length", "")
        if declared.isdecimal() and _is_more(declared, limit):
            raise BodyTooLarge(f"the body has more than the {limit} bytes that are allowed")
        timeout_s = self._config.body_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                body = await _read(receive, limit, held)
        except TimeoutError as error:
            raise SlowBody(f"the body did not arrive within {timeout_s:g} s") from error
        found = decoded(body, headers.get("content-encoding", ""), limit)
        if len(found) > len(body):
            held.add(len(found) - len(body))
        return found


class BytesInFlight:
    """Bodies that this replica holds, all requests together."""

    def __init__(self, limit: int) -> None:
        """Hold at most `limit` bytes."""
        self._limit = limit
        self.total = 0

    @contextmanager
    def hold(self) -> Iterator["Held"]:
        """Hold the bytes of one request until the block ends."""
        held = Held(self)
        try:
            yield held
        finally:
            self.total -= held.size

    def take(self, size: int) -> None:
        """Count more bytes. Raises Overloaded if they are too many."""
        if self.total + size > self._limit:
            raise Overloaded(TOO_MANY)
        self.total += size


class Held:
    """Bytes of one request."""

    def __init__(self, parent: BytesInFlight) -> None:
        """Start without any."""
        self._parent = parent
        self.size = 0

    def add(self, size: int) -> None:
        """Hold more bytes. Raises Overloaded if all requests together have too many."""
        self._parent.take(size)
        self.size += size


async def _read(receive: Receive, limit: int, held: Held) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise BodyTooLarge(f"the body has more than the {limit} bytes that are allowed")
        held.add(len(parts[-1]))
        if not message.get("more_body", False):
            return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return the body at once, and later messages as they arrive (a disconnect)."""
    is_read = False

    async def replay() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _send_problem(
    scope: Scope,
    receive: Receive,
    send: Send,
    error: Exception,
    headers: dict[str, str] | None = None,
) -> None:
    request = Request(scope)
    problem = problem_of(error, request.state.request_id)
    response = respond_with(request, problem, headers or headers_of(error))
    await response(scope, receive, send)


def _is_more(declared: str, limit: int) -> bool:
    """Compare a number of any length, which Python may refuse to convert."""
    digits = declared.lstrip("0")
    return len(digits) > len(str(limit)) or int(digits or "0") > limit


def _outcome(status: int | None) -> str:
    if status is None:
        return "client_disconnected"
    if status < CLIENT_ERROR:
        return "ok"
    if status == RetryLater.status:
        return "rejected"
    return "invalid" if status < SERVER_ERROR else "failed"
