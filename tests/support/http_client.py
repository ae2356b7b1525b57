"""The HTTP application on stages that are not there."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from httpx_sse import EventSource
from ray.serve._private.http_util import RequestIdMiddleware

from serve.adapters.controller import Status, first_releases
from serve.adapters.persona_cache import Characters
from serve.adapters.registry import Releases
from serve.api.auth import KeyRing
from serve.api.routes import make_http_app
from serve.config import IngressConfig, ResponderConfig
from serve.detector.replica import Reading
from serve.errors import AdapterRefused
from serve.pipeline.ingress import this_ingress
from serve.pipeline.messages import Event, Message, Texts
from serve.pipeline.respond import answer
from support.fakes import FakeStages


class Remote:
    """A method as a handle offers it."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.remote = method


class FakeDirectory:
    """Holds the scripted engine's versions, with no replica that could follow a change."""

    def __init__(self, releases: Releases | None = None) -> None:
        self._releases = releases or first_releases(ResponderConfig(kind="scripted"), None)
        self.status, self.publish = Remote(self._status), Remote(self._refuse)
        self.promote, self.rollback = Remote(self._refuse), Remote(self._refuse)

    async def _status(self) -> Status:
        return Status(self._releases)

    async def _refuse(self, _what: object) -> None:
        raise AdapterRefused("no replica follows")


@dataclass
class FakeIngress(FakeStages):
    """What the HTTP routes ask of an ingress."""

    directory: FakeDirectory = field(default_factory=FakeDirectory)
    messages: list[Message] = field(default_factory=list)
    deadlines_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.characters = Characters(self.directory.status.remote)

    def answer(self, message: Message) -> AsyncGenerator[Event]:
        self.messages.append(message)
        return answer(self, message)

    async def detect(self, asked: Texts) -> list[Reading]:
        self.deadlines_s.append(asked.deadline_s)
        return await self.read(list(asked.texts), asked.trace)

    async def probe(self) -> None:
        if self.fails:
            raise self.fails


def http_client(
    ingress: FakeIngress, limits: IngressConfig | None = None, keys: KeyRing | None = None, on_loopback: bool = True
) -> httpx.AsyncClient:
    """A client of the HTTP application on an ingress, behind what Serve puts before one. It holds nothing open, so it needs no closing."""
    app = make_http_app(limits or IngressConfig(), keys, on_loopback)
    app.dependency_overrides[this_ingress] = lambda: ingress
    return httpx.AsyncClient(transport=httpx.ASGITransport(RequestIdMiddleware(app), raise_app_exceptions=False), base_url="http://test")


def sse(reply: httpx.Response) -> list[tuple[str, str]]:
    """Events of a stream, as the terminal client reads them: name and data."""
    return [(event.event, event.data) for event in EventSource(reply).iter_sse()]
