"""HTTP application on a fake responder, and a client for it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from httpx_sse import EventSource
from ray.serve._private.http_util import RequestIdMiddleware

from serve.adapters.controller import configured_releases
from serve.adapters.persona_cache import PersonaCache
from serve.adapters.registry import ControllerStatus, Releases
from serve.api.app import make_http_app
from serve.api.auth import KeyRing
from serve.config import HttpConfig, ResponderConfig
from serve.deadline import deadline
from serve.detector.protocol import Detection
from serve.errors import AdapterRefused
from serve.pipeline.answer import Answer, AnswerWriter
from serve.pipeline.messages import Message, RequestContext
from serve.pipeline.replica import this_responder
from serve.pipeline.respond import respond
from support.fakes import FakeStages


class Remote:
    """Method with the interface of a deployment handle."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.remote = method


@dataclass
class FakeResponder(FakeStages):
    """Responder on fake stages that records its requests and rejects changes of adapters."""

    releases: Releases = field(
        default_factory=lambda: configured_releases(ResponderConfig(kind="scripted"), None)
    )
    messages: list[Message] = field(default_factory=list)
    contexts: list[RequestContext] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.personas = PersonaCache(self.adapter_status)

    async def answer(self, message: Message, writer: AnswerWriter) -> Answer:
        """Run the pipeline."""
        self.messages.append(message)
        answer = Answer(message)
        async with deadline(message.context.deadline_s):
            await respond(answer, writer, self.classify, self, safety=True)  # type: ignore[arg-type]
        return answer

    async def detect(self, texts: list[str], context: RequestContext) -> list[Detection]:
        """Classify texts."""
        self.contexts.append(context)
        return await self.classify(texts, context.trace)

    async def probe(self) -> dict[str, str]:
        """Return the engine's operators. Raises the configured error."""
        if self.error:
            raise self.error
        return {"lora": "active"}

    async def adapter_status(self) -> ControllerStatus:
        """Return the versions."""
        return ControllerStatus(self.releases)

    async def publish_adapter(self, folder: str) -> ControllerStatus:
        """Reject the change."""
        raise AdapterRefused("no responder replica reconciles with this controller")

    promote_adapter = publish_adapter
    roll_back_adapter = publish_adapter


def http_client(
    responder: FakeResponder,
    config: HttpConfig | None = None,
    keys: KeyRing | None = None,
    on_loopback: bool = True,
) -> httpx.AsyncClient:
    """Build a client of the HTTP application, behind the middleware that Serve adds.

    The client holds no connection, so it does not have to be closed.
    """
    app = make_http_app(config or HttpConfig(), keys, on_loopback)
    app.dependency_overrides[this_responder] = lambda: responder
    transport = httpx.ASGITransport(RequestIdMiddleware(app), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def sse_events(reply: httpx.Response) -> list[tuple[str, str]]:
    """List the name and data of each event of a stream."""
    return [(event.event, event.data) for event in EventSource(reply).iter_sse()]
