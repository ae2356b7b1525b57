"""One request and its client, as Serve's HTTP proxy has them, over all attempts of `serve.proxy.middleware` to answer it."""

import asyncio
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.api.middleware import ACCEPTED_MS, ELAPSED, REQUEST_ID, request_id_of
from serve.config import IngressConfig
from serve.errors import NotReady, Overloaded, SlowBody
from serve.proxy.backpressure import refused_by_ingress, refused_by_serve

TIMEOUT = "x-request-timeout-ms"
ONCE_ONLY = "/v1/admin"  # what changes something is not done twice
REPLAYED_BYTES = 4 * 2**20
LOST_WRITING = 502  # a responder died while it wrote a whole answer: the ingress cannot begin it again, the client has seen nothing of it
LOST_WRITING_TIMES = 2  # after that it may well be the request that kills


class Client:
    """`begun`: some of an answer was sent; `ended`: all of it; `left`: nobody reads. `refusal` is what Serve said to the last attempt.

    `overloaded` is what it, or the ingress, said of having no place.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: IngressConfig, grace_s: float) -> None:
        self._scope, self._receive, self._send, self._limits = scope, receive, send, limits
        self._headers, self._began_s = Headers(scope=scope), time.monotonic()
        self.request, self.path = Request(scope), str(scope["path"])
        self.request_id = request_id_of(self._headers.get(REQUEST_ID))
        self.clock = asyncio.timeout(self._timeout_s(grace_s))
        self._body: list[Message] = []
        self._given = 0
        self._head: MutableMapping[str, Any] | None = None
        self._lost_writing = 0
        self.streams, self.whole = False, False
        self.begun, self.ended, self.left = False, False, False
        self.refusal: Overloaded | NotReady | None = None
        self.overloaded: Overloaded | None = None

    def _timeout_s(self, grace_s: float) -> float | None:
        """Until it is ended here. Changes of releases have limits of their own."""
        if self.path.startswith(ONCE_ONLY):
            return None
        asked = self._headers.get(TIMEOUT, "")
        return (int(asked) if ACCEPTED_MS.fullmatch(asked) else self._limits.default_timeout_ms) / 1000 + grace_s

    @property
    def may_ask_again(self) -> bool:
        return self._kept <= REPLAYED_BYTES and not self.path.startswith(ONCE_ONLY)

    @property
    def _kept(self) -> int:
        return sum(len(message.get("body", b"")) for message in self._body)

    async def take_body(self) -> None:
        """The whole body, before it takes a place of the ingress; one that is too large is left to the ingress. Raises SlowBody."""
        most, declared = self._limits.max_body_bytes, self._headers.get("content-length", "")
        if declared.isdigit() and int(declared) > most:
            return
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                while not (self.whole or self.left or self._kept > most):
                    await self._take()
        except TimeoutError as error:
            raise SlowBody(f"the body did not come within {self._limits.body_timeout_s:g} s") from error

    async def _take(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._body.append(message)
            self.whole = not message.get("more_body", False)
        else:
            self.left = True
        return message

    def attempt(self) -> Scope:
        """The request, from its beginning, with what it has spent of its time."""
        self._lost_writing += self._head is not None  # the last attempt's, still held back
        self._given, self._head = 0, None
        spent_ms = round((time.monotonic() - self._began_s) * 1000)
        ours = [(REQUEST_ID.encode(), self.request_id.encode()), (ELAPSED.encode(), str(spent_ms).encode())]
        names = {name for name, _ in ours}
        return {**self._scope, "headers": [*(pair for pair in self._scope["headers"] if pair[0] not in names), *ours]}

    async def receive(self) -> Message:
        if self._given == len(self._body):
            message = await self._take()
            if self.left:
                return message
        self._given += 1
        return self._body[self._given - 1]

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._head = message
            self.refusal = refused_by_serve(message)
            self.overloaded = self.refusal if isinstance(self.refusal, Overloaded) else None
        elif self.refusal is None and not self._is_to_be_asked_again:
            if self._head is not None:
                self.overloaded = refused_by_ingress(self._head, message.get("body", b""))
                await self._begin(self._head)
            await self._give(message)
            self.ended = not message.get("more_body", False)

    @property
    def _is_to_be_asked_again(self) -> bool:
        lost = self._head is not None and self._head["status"] == LOST_WRITING
        return lost and self.may_ask_again and self._lost_writing < LOST_WRITING_TIMES

    async def _begin(self, head: MutableMapping[str, Any]) -> None:
        self.streams = Headers(raw=list(head["headers"])).get("content-type", "").startswith("text/event-stream")
        self._head, self.begun = None, True
        await self._give(head)

    async def _give(self, message: MutableMapping[str, Any]) -> None:
        """A client that does not read it in time is taken to have left: its clock ends the attempt, and with it the generation."""
        if self.left:
            return
        try:
            async with asyncio.timeout(self._limits.send_timeout_s):
                await self._send(message)
        except TimeoutError:
            self.left = True
            self.clock.reschedule(asyncio.get_running_loop().time())

    async def answer(self, response: ASGIApp) -> None:
        await response(self._scope, self._receive, self._send)

    async def end(self, words: bytes) -> None:
        await self._send({"type": "http.response.body", "body": words, "more_body": False})
