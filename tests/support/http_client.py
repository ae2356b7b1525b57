"""HTTP application on a fake responder, and clients for it."""

import asyncio
import sys
from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

import httpx
from httpx_sse import EventSource
from ray.serve._private.http_util import RequestIdMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as AsgiMessage

from serve.adapters.controller import configured_releases
from serve.adapters.persona_cache import PersonaCache
from serve.adapters.registry import ControllerStatus, Releases
from serve.adapters.trial import Trial
from serve.api.app import make_http_app
from serve.api.auth import Key, KeyRing, Keys
from serve.api.auth import Scope as KeyScope
from serve.api.dependencies import Gatekeeper
from serve.api.origins import BrowserRules
from serve.config import HttpConfig, ResponderConfig
from serve.deadline import deadline
from serve.detector.protocol import Detection
from serve.errors import AdapterRejected
from serve.pipeline.answer import Answer, AnswerWriter
from serve.pipeline.messages import Message, RequestContext
from serve.pipeline.replica import this_responder
from serve.pipeline.respond import Rules, respond
from support.admin_key import ADMIN_SHA256
from support.fakes import FakeStages

if TYPE_CHECKING:
    from openai import AsyncOpenAI

RESPOND = "/v1/respond"
DETECT = "/v1/detect"
CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
RESPONSES = "/v1/responses"
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}]}
# A valid body of each path that is counted as a call.
BODIES: dict[str, dict[str, Any]] = {
    RESPOND: {"text": "hello"},
    DETECT: {"text": "hello"},
    CHAT: HELLO,
    COMPLETIONS: {"prompt": "hello"},
    RESPONSES: {"input": "hello"},
}
JSON = {"content-type": "application/json"}
HOST = {"host": "localhost"}
# The key of a server without configured keys.
ADMIN_KEYS = Keys(Key(name="operator", sha256=ADMIN_SHA256, scopes=frozenset({KeyScope.ADMIN})))
LETS_ANYONE_IN = Gatekeeper(BrowserRules(HttpConfig(), on_loopback=False), None, None)


@dataclass
class FakeResponder(FakeStages):
    """Responder on fake stages that records its requests.

    It promotes and rolls back versions, but it cannot publish any.
    """

    releases: Releases = field(
        default_factory=lambda: configured_releases(ResponderConfig(kind="scripted"), None)
    )
    messages: list[Message] = field(default_factory=list)
    contexts: list[RequestContext] = field(default_factory=list)
    published: list[str] = field(default_factory=list)  # folders that were to be published

    def __post_init__(self) -> None:
        self.personas = PersonaCache(self.adapter_status)

    async def answer(self, message: Message, writer: AnswerWriter) -> Answer:
        """Run the pipeline."""
        self.messages.append(message)
        self.contexts.append(message.context)
        answer = Answer(message)
        async with deadline(message.context.deadline_s):
            await respond(answer, writer, self.classify, self, Rules())
        return answer

    async def detect(self, texts: list[str], context: RequestContext) -> list[Detection]:
        """Classify texts."""
        self.contexts.append(context)
        async with deadline(context.deadline_s):
            return await self.classify(texts, context.trace)

    async def probe(self) -> dict[str, str]:
        """Return the engine's operators. Raises the configured error."""
        if self.error:
            raise self.error
        return {"lora": "active"}

    adapters: ClassVar[dict[str, object]] = {"source": "configured", "fallbacks": {"joy": "joy@1"}}

    async def metrics(self) -> str:
        """Return one metric."""
        return "ray_fye_requests 1.0\n"

    async def adapter_status(self) -> ControllerStatus:
        """Return the versions."""
        return ControllerStatus(self.releases)

    async def publish_adapter(self, folder: str) -> ControllerStatus:
        """Reject the folder."""
        self.published.append(folder)
        raise AdapterRejected("no responder replica reconciles with this controller")

    async def promote_adapter(self, name: str, share: float = 1) -> ControllerStatus:
        """Promote a resident version, or try it out."""
        releases = self.releases
        trial = Trial(name=name, share=share) if share < 1 else None
        self.releases = releases.try_out(trial) if trial else releases.promote(name)
        return ControllerStatus(self.releases)

    async def roll_back_adapter(self, persona: str) -> ControllerStatus:
        """Use the previous version again."""
        self.releases = self.releases.rollback(persona)
        return ControllerStatus(self.releases)


def http_app(
    responder: FakeResponder,
    config: HttpConfig | None = None,
    keys: KeyRing | None = None,
    on_loopback: bool = True,
) -> ASGIApp:
    """Return the HTTP application, behind the middleware that Serve adds."""
    app = _build(config or HttpConfig(), keys, on_loopback, sys.stdout)

    async def with_responder(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "fake_responder": responder}, receive, send)

    return with_responder


@lru_cache(maxsize=8)
def _build(config: HttpConfig, keys: KeyRing | None, on_loopback: bool, stdout: TextIO) -> ASGIApp:
    """Build an application, which is slow. It logs to the `stdout` of its first request."""
    app = make_http_app(config, keys, keys or ADMIN_KEYS, on_loopback)
    app.dependency_overrides[this_responder] = _responder_of
    return RequestIdMiddleware(app)


async def _responder_of(request: Request) -> Any:
    return request.scope["fake_responder"]


def http_client(
    responder: FakeResponder,
    config: HttpConfig | None = None,
    keys: KeyRing | None = None,
    on_loopback: bool = True,
) -> httpx.AsyncClient:
    """Build a client of the HTTP application.

    The client holds no connection, so it does not have to be closed. A response is complete when
    the client returns it.
    """
    app = http_app(responder, config, keys, on_loopback)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


class Connection:
    """Client's side of one request at the level of ASGI. It can disconnect and stop reading."""

    def __init__(self, *incoming: bytes | None, more: bool = False) -> None:
        """Send the parts of a body, and disconnect where a part is None.

        Args:
            incoming: the parts.
            more: whether the body is incomplete after them.
        """
        self._incoming = deque(_messages(incoming, more))
        self.reading = asyncio.Event()
        self.reading.set()
        self.sent: list[AsgiMessage] = []  # read by the client
        self.waiting = 0  # messages that the client does not read yet

    async def receive(self) -> AsgiMessage:
        """Return the next part. Waits forever after the last one."""
        if not self._incoming:
            await asyncio.Event().wait()
        return self._incoming.popleft()

    async def send(self, message: AsgiMessage) -> None:
        """Wait until the client reads."""
        self.waiting += 1
        try:
            await self.reading.wait()
        finally:
            self.waiting -= 1
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        """Body that the client has read so far."""
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def ended(self) -> bool:
        """True if the client has read the end of the response."""
        last = self.sent[-1] if self.sent else {"type": ""}
        return last["type"] == "http.response.body" and not last.get("more_body", False)


def _messages(parts: tuple[bytes | None, ...], more: bool) -> list[AsgiMessage]:
    size = sum(part is not None for part in parts)
    return [
        {"type": "http.disconnect"}
        if part is None
        else {"type": "http.request", "body": part, "more_body": more or number < size}
        for number, part in enumerate(parts, 1)
    ]


def http_scope(path: str, method: str = "POST", **headers: str) -> Scope:
    """Build the ASGI scope of a request with a JSON body."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (name.replace("_", "-").encode(), value.encode("latin-1"))
            for name, value in (HOST | JSON | headers).items()
        ],
        "client": ("127.0.0.1", 1),
        "server": ("test", 80),
        "state": {},
    }


def sse_events(reply: httpx.Response) -> list[tuple[str, str]]:
    """List the name and data of each event of a stream."""
    return [(event.event, event.data) for event in EventSource(reply).iter_sse()]


def openai_client(
    responder: FakeResponder, keys: KeyRing | None = None, secret: str = ""
) -> "AsyncOpenAI":
    """Return a client of the `openai` package that does not repeat requests."""
    from openai import AsyncOpenAI

    client: Any = http_client(responder, keys=keys)
    return AsyncOpenAI(
        base_url="http://localhost/v1",
        api_key=secret or "unused",
        max_retries=0,
        http_client=client,
    )
