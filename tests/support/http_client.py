"""HTTP application on fake deployments, and a client for it."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from httpx_sse import EventSource
from ray.serve._private.http_util import RequestIdMiddleware

from serve.adapters.controller import configured_releases
from serve.adapters.registry import ControllerStatus
from serve.adapters.persona_cache import PersonaCache
from serve.adapters.registry import Releases
from serve.api.auth import KeyRing
from serve.api.routes import make_http_app
from serve.config import IngressConfig, ResponderConfig
from serve.detector.protocol import Detection
from serve.errors import AdapterRefused
from serve.pipeline.ingress import this_ingress
from serve.pipeline.messages import Event, Message, Texts
from serve.pipeline.respond import answer
from support.fakes import FakeDeployments


class Remote:
    """Method with the interface of a deployment handle."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.remote = method


class FakeController:
    """Adapter controller with the scripted engine's versions that rejects every change."""

    def __init__(self, releases: Releases | None = None) -> None:
        self._releases = releases or configured_releases(ResponderConfig(kind="scripted"), None)
        self.status = Remote(self._status)
        self.publish = Remote(self._reject)
        self.promote = Remote(self._reject)
        self.rollback = Remote(self._reject)

    async def _status(self) -> ControllerStatus:
        return ControllerStatus(self._releases)

    async def _reject(self, _change: object) -> None:
        raise AdapterRefused("no responder replica reconciles with this controller")


@dataclass
class FakeIngress(FakeDeployments):
    """Ingress on fake deployments that records its requests."""

    directory: FakeController = field(default_factory=FakeController)
    messages: list[Message] = field(default_factory=list)
    deadlines_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.characters = PersonaCache(self.directory.status.remote)

    def answer(self, message: Message) -> AsyncGenerator[Event]:
        """Run the pipeline."""
        self.messages.append(message)
        return answer(self, message)

    async def detect(self, asked: Texts) -> list[Detection]:
        """Classify texts."""
        self.deadlines_s.append(asked.deadline_s)
        return await self.read(list(asked.texts), asked.trace)

    async def probe(self) -> None:
        """Check readiness. Raises the configured error."""
        if self.error:
            raise self.error


def http_client(
    ingress: FakeIngress,
    limits: IngressConfig | None = None,
    keys: KeyRing | None = None,
    on_loopback: bool = True,
) -> httpx.AsyncClient:
    """Build a client of the HTTP application, behind the middleware that Serve adds.

    The client holds no connection, so it does not have to be closed.
    """
    app = make_http_app(limits or IngressConfig(), keys, on_loopback)
    app.dependency_overrides[this_ingress] = lambda: ingress
    transport = httpx.ASGITransport(RequestIdMiddleware(app), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def sse_events(reply: httpx.Response) -> list[tuple[str, str]]:
    """List the name and data of each event of a stream."""
    return [(event.event, event.data) for event in EventSource(reply).iter_sse()]
