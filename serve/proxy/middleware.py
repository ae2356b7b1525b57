"""Stands in Serve's HTTP proxy, before the ingress: an ingress replica that dies loses no request, and cuts no stream without a word.

Serve alone answers a lost ingress with an empty 500, and lets a stream that had begun just stop. Here the head of an answer is held
back until there is some of its body. Before that a lost request is asked again, within its deadline; after it a stream gets its last
words. A request takes a place of the ingress once its body is there, and a client that does not read loses its own. It does not know
of the graph. Serve's setting RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH names `middlewares`.
"""

import asyncio
import json
import os

from sse_starlette import ServerSentEvent
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from models.errors import FyeError
from serve.api.cors import with_cors
from serve.api.middleware import REQUEST_ID, call_of
from serve.api.problem_details import OPENAI_PATHS, headers_of, openai_error, problem_of, respond_with
from serve.api.schemas import Problem
from serve.config import IngressConfig
from serve.errors import ComeBackLater, DeadlineExceeded, NotReady, ReplicaLost, RequestError
from serve.metrics import Ended, counter
from serve.proxy.backpressure import Places
from serve.proxy.replay import Client

INGRESS_VARIABLE = "FYE_INGRESS"  # the proxy has no configuration of ours: this environment variable holds the ingress' own, as JSON
GRACE_S = 1.0  # the ingress ends what is late, in its own words; only if it does not, it is ended here
AGAIN_S = 0.1


def middlewares() -> list[Middleware]:
    """What Serve puts around its proxy."""
    return [Middleware(Front)]


class Front:
    """ASGI middleware of the proxy."""

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._ended, self._places = app, Ended(), Places()
        self._limits = IngressConfig.model_validate_json(os.environ.get(INGRESS_VARIABLE, "{}"))
        self._retries = counter("fye_retries", "calls of a stage that were lost and made again", ("stage",))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = Client(scope, receive, send, self._limits, GRACE_S)
        error = await self._answer(client)
        if error is not None:
            await self._tell(client, error)

    async def _answer(self, client: Client) -> FyeError | None:
        """What the client has to be told, if the ingress did not end the answer and the client is still there."""
        try:
            async with client.clock as clock:
                await client.take_body()
                self._places.look(client.path)
                while not client.left:
                    await self._app(client.attempt(), client.receive, client.send)  # returns even if it is cancelled
                    self._places.note(client.path, client.overloaded)
                    if client.ended or client.left or clock.expired():
                        break
                    if client.refusal is not None:
                        raise client.refusal
                    if client.begun or not client.may_ask_again:
                        return ReplicaLost("the process that passed this answer on was lost")
                    self._retries.inc(tags={"stage": "ingress"})
                    await asyncio.sleep(AGAIN_S)
        except TimeoutError:
            if not client.clock.expired():
                raise
        except (RequestError, NotReady) as error:  # no ingress has seen it
            self._count(client, error)
            return error
        return None if client.ended or client.left else DeadlineExceeded("the request took longer than its timeout")

    def _count(self, client: Client, error: FyeError) -> None:
        if call := call_of(client.path):
            outcome = "refused" if isinstance(error, ComeBackLater) else "invalid" if isinstance(error, RequestError) else "failed"
            self._ended.note(call, outcome, client.request_id)

    async def _tell(self, client: Client, error: FyeError) -> None:
        """The last words. A body of a known length that was cut has none: its connection is closed, and it is seen to be too short."""
        problem = problem_of(error, client.request_id)
        try:
            async with asyncio.timeout(GRACE_S):
                if not client.begun:
                    headers = {REQUEST_ID: client.request_id, **headers_of(error)} | ({} if client.whole else {"connection": "close"})
                    await client.answer(with_cors(respond_with(client.request, problem, headers), self._limits))
                elif client.streams:
                    await client.end(_last_words(client.path, problem))
        except TimeoutError:
            return  # a client that does not read hears nothing


def _last_words(path: str, problem: Problem) -> bytes:
    if path in OPENAI_PATHS:
        words = (json.dumps(openai_error(problem)), "[DONE]")
        return b"".join(ServerSentEvent(word, sep="\n").encode() for word in words)  # what vLLM's own client splits at
    return ServerSentEvent(problem.model_dump_json(), event="error").encode()
