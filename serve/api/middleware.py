"""What is done to a request before and after its route, whatever the route: its time begins, it gets an id, its body is taken in whole.

A body that is too large or too slow is refused here, before anything is parsed. What ends before the stages have seen it is counted here.
"""

import asyncio
import re
import time
import uuid
from collections.abc import MutableMapping
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.api.problem_details import problem_of, respond_with
from serve.config import IngressConfig
from serve.errors import BodyTooLarge, RequestError, SlowBody
from serve.metrics import DETECT, RESPOND, Ended

REQUEST_ID = "x-request-id"
ELAPSED = "x-request-elapsed-ms"  # what a request that is asked again has spent already; a client that sends it only shortens its own time
ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
ACCEPTED_MS = re.compile(r"[0-9]{1,9}")
ADMIN, ADMIN_PATH = "admin", "/v1/admin"
CALLS = {"/v1/respond": RESPOND, "/v1/chat/completions": RESPOND, "/v1/detect": DETECT}


class Edge:
    """ASGI middleware. `scope["state"]` gets `began_s` of `time.monotonic` and `request_id`.

    A route that has its end counted elsewhere sets `counted` there.

    The reply's x-request-id is Serve's to send: it puts the request's own on every answer, and on one that had none what it gave it.
    """

    def __init__(self, app: ASGIApp, limits: IngressConfig) -> None:
        self._app, self._limits, self._ended = app, limits, Ended()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        request_id = request_id_of(request.headers.get(REQUEST_ID))
        elapsed_ms = request.headers.get(ELAPSED, "")
        began_s = time.monotonic() - (int(elapsed_ms) / 1000 if ACCEPTED_MS.fullmatch(elapsed_ms) else 0)
        scope.setdefault("state", {}).update(began_s=began_s, request_id=request_id)

        status: int | None = None

        async def noted(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._answer(request, receive, noted)
        except Exception as error:  # noqa: BLE001 (nothing gets past here: a server would log it with the words that it may hold)
            problem = problem_of(error, request.state.request_id)
            if status is None:
                await respond_with(request, problem)(scope, receive, noted)
        finally:
            self._count(request, status)

    async def _answer(self, request: Request, receive: Receive, send: Send) -> None:
        try:
            body = await self._body(request.headers.get("content-length", ""), receive)
        except RequestError as error:
            await respond_with(request, problem_of(error, request.state.request_id), {"connection": "close"})(request.scope, receive, send)
            return
        await self._app(request.scope, _replayed(body, receive), send)

    def _count(self, request: Request, status: int | None) -> None:
        """What no stage has seen, or only changes releases. A path that nobody knows is not counted: it may hold a user's words."""
        call = call_of(request.url.path)
        if call and not getattr(request.state, "counted", False):
            self._ended.note(call, _outcome(status), request.state.request_id, status=status)

    async def _body(self, declared: str, receive: Receive) -> bytes:
        """The whole body. Raises BodyTooLarge or SlowBody."""
        most = self._limits.max_body_bytes
        if declared.isdigit() and int(declared) > most:
            raise BodyTooLarge(f"a body may have {most} bytes")
        parts, size, more = [], 0, True
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                while more:
                    message = await receive()
                    parts.append(message.get("body", b""))
                    size, more = size + len(parts[-1]), message.get("more_body", False)
                    if size > most:
                        raise BodyTooLarge(f"a body may have {most} bytes")
        except TimeoutError as error:
            raise SlowBody(f"the body did not come within {self._limits.body_timeout_s:g} s") from error
        return b"".join(parts)


def call_of(path: str) -> str | None:
    """What a path calls, where calls are counted."""
    return ADMIN if path.startswith(ADMIN_PATH) else CALLS.get(path)


def _outcome(status: int | None) -> str:
    if status is None:
        return "left"
    return "ok" if status < 400 else "invalid" if status < 500 else "failed"


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Gives the body at once, then what comes after it: that the client has left."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def request_id_of(given: str | None) -> str:
    return given if given and ACCEPTED_ID.fullmatch(given) else uuid.uuid4().hex
