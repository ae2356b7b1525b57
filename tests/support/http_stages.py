"""The HTTP application on stages that are not there."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from httpx_sse import EventSource
from ray.serve._private.http_util import RequestIdMiddleware

from serve.characters import Characters
from serve.config import IngressConfig, ResponderConfig
from serve.detector import Reading
from serve.directory import Status, first_releases
from serve.errors import AdapterRefused
from serve.events import Event, Message, Texts
from serve.http import make_http_app
from serve.ingress import this_ingress
from serve.keys import KeyRing
from serve.pipeline import answer
from serve.releases import Releases
from stages import FakeStages


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
