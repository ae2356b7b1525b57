"""Stands in Serve's HTTP proxy, before the ingress: an ingress replica that dies loses no request, and cuts no stream without a word.

Serve alone answers a lost ingress with an empty 500, and lets a stream that had begun just stop. Here the head of an answer is held
back until there is some of its body. Before that a lost request is asked again, within its deadline; after it a stream gets its last
words. It does not know of the graph. Serve's setting RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH names `middlewares`.
"""

import asyncio
import json
import os
import time
from collections.abc import MutableMapping
from typing import Any

from sse_starlette import ServerSentEvent
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.errors import FyeError
from serve.config import IngressConfig
from serve.edge import ACCEPTED_MS, ELAPSED, REQUEST_ID, request_id_of
from serve.errors import DeadlineExceeded, ReplicaLost
from serve.problems import OPENAI_PATHS, openai_error, problem_of, respond_with
from serve.schema import Problem

DEFAULT_TIMEOUT_VARIABLE = "FYE_DEFAULT_TIMEOUT_MS"  # the proxy has no configuration of ours
TIMEOUT = "x-request-timeout-ms"
ONCE_ONLY = "/v1/admin"  # what changes something is not done twice
GRACE_S = 1.0  # the ingress ends what is late, in its own words; only if it does not, it is ended here
AGAIN_S = 0.1
REPLAYED_BYTES = 4 * 2**20
LOST_WRITING = 502  # a responder died while it wrote a whole answer: the ingress cannot begin it again, the client has seen nothing of it
LOST_WRITING_TIMES = 2  # after that it may well be the request that kills


def middlewares() -> list[Middleware]:
    """What Serve puts around its proxy."""
    return [Middleware(Front)]


class Front:
    """ASGI middleware of the proxy."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = _Client(scope, receive, send)
        error = await self._answer(client)
        if error is not None:
            await client.tell(error)

    async def _answer(self, client: "_Client") -> FyeError | None:
        """What the client has to be told, if the ingress did not end the answer and the client is still there."""
        clock = asyncio.timeout(client.timeout_s)
        try:
            async with clock:
                while True:
                    await self._app(client.attempt(), client.receive, client.send)  # returns even if it is cancelled
                    if client.ended or client.left:
                        return None
                    if clock.expired():
                        break
                    if client.begun or not client.may_ask_again:
                        return ReplicaLost("the process that passed this answer on was lost")
                    await asyncio.sleep(AGAIN_S)
        except TimeoutError:
            if not clock.expired():
                raise
        return DeadlineExceeded("the request took longer than its timeout")


class _Client:
    """One request and its client, over all attempts to answer it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._headers, self._began_s = Headers(scope=scope), time.monotonic()
        self._request_id = request_id_of(self._headers.get(REQUEST_ID))
        self._body: list[Message] = []
        self._given = 0
        self._head: MutableMapping[str, Any] | None = None
        self._lost_writing = 0
        self._streams = False
        self.begun, self.ended, self.left = False, False, False

    @property
    def timeout_s(self) -> float | None:
        """Until it is ended here. Changes of releases have limits of their own."""
        if self._scope["path"].startswith(ONCE_ONLY):
            return None
        asked = self._headers.get(TIMEOUT, "")
        default = os.environ.get(DEFAULT_TIMEOUT_VARIABLE, IngressConfig().default_timeout_ms)
        return int(asked if ACCEPTED_MS.fullmatch(asked) else default) / 1000 + GRACE_S

    @property
    def may_ask_again(self) -> bool:
        kept = sum(len(message.get("body", b"")) for message in self._body)
        return kept <= REPLAYED_BYTES and not self._scope["path"].startswith(ONCE_ONLY)

    def attempt(self) -> Scope:
        """The request, from its beginning, with what it has spent of its time."""
        self._lost_writing += self._head is not None  # the last attempt's, still held back
        self._given, self._head = 0, None
        spent_ms = round((time.monotonic() - self._began_s) * 1000)
        ours = [(REQUEST_ID.encode(), self._request_id.encode()), (ELAPSED.encode(), str(spent_ms).encode())]
        names = {name for name, _ in ours}
        return {**self._scope, "headers": [*(pair for pair in self._scope["headers"] if pair[0] not in names), *ours]}

    async def receive(self) -> Message:
        if self._given == len(self._body):
            message = await self._receive()
            if message["type"] != "http.request":
                self.left = True
                return message
            self._body.append(message)
        self._given += 1
        return self._body[self._given - 1]

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._head = message
        elif not self._is_to_be_asked_again:
            if self._head is not None:
                await self._begin(self._head)
            await self._send(message)
            self.ended = not message.get("more_body", False)

    @property
    def _is_to_be_asked_again(self) -> bool:
        lost = self._head is not None and self._head["status"] == LOST_WRITING
        return lost and self.may_ask_again and self._lost_writing < LOST_WRITING_TIMES

    async def _begin(self, head: MutableMapping[str, Any]) -> None:
        self._streams = Headers(raw=list(head["headers"])).get("content-type", "").startswith("text/event-stream")
        self._head, self.begun = None, True
        await self._send(head)

    async def tell(self, error: FyeError) -> None:
        """The last words. A body of a known length that was cut has none: its connection is closed, and it is seen to be too short."""
        problem = problem_of(error, self._request_id)
        try:
            async with asyncio.timeout(GRACE_S):
                if not self.begun:
                    response = respond_with(Request(self._scope), problem, {REQUEST_ID: self._request_id})
                    await response(self._scope, self._receive, self._send)
                elif self._streams:
                    await self._send({"type": "http.response.body", "body": _last_words(self._scope["path"], problem), "more_body": False})
        except TimeoutError:
            return  # a client that does not read hears nothing


def _last_words(path: str, problem: Problem) -> bytes:
    if path in OPENAI_PATHS:
        words = (json.dumps(openai_error(problem)), "[DONE]")
        return b"".join(ServerSentEvent(word, sep="\n").encode() for word in words)  # what vLLM's own client splits at
    return ServerSentEvent(problem.model_dump_json(), event="error").encode()
