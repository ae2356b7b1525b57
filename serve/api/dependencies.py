"""What the routes ask of a request before they answer it."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from serve.api.auth import Key, KeyRing, Scope
from serve.config import IngressConfig
from serve.errors import InvalidRequest, WrongContentType
from serve.pipeline.ingress import Ingress, this_ingress
from serve.tracing import CARRIED, Carrier

BEARER = HTTPBearer(auto_error=False, description="an API key; none is needed where the server has none")


async def require_json(request: Request) -> None:
    """A body must say that it is JSON. Raises WrongContentType."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise WrongContentType("send content-type: application/json")


@dataclass(frozen=True, slots=True)
class AskedOf:
    """What a request's headers ask for. Times are of `time.monotonic`; the region is two letters, as ISO 3166 has them."""

    began_s: float
    deadline_s: float
    region: str | None
    key: Key | None
    x_request_id: str
    trace: Carrier


class _AskedWith:
    """What the headers ask for, of somebody who may. Raises Unauthenticated, Forbidden or InvalidRequest."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __call__(
        self,
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
        x_request_timeout_ms: Annotated[int | None, Header(ge=1, description="the answer is given up after that time")] = None,
        x_region: Annotated[str | None, Header(pattern="^[A-Za-z]{2}$", description="whose helplines are named, if any are")] = None,
    ) -> AskedOf:
        keys: KeyRing | None = request.app.state.keys
        key = keys.find(bearer.credentials if bearer else "", self._scope) if keys else None
        limits: IngressConfig = request.app.state.limits
        timeout_ms = x_request_timeout_ms or limits.default_timeout_ms
        if timeout_ms > limits.max_timeout_ms:
            raise InvalidRequest(f"x-request-timeout-ms may be {limits.max_timeout_ms} at most")
        began_s: float = request.state.began_s
        trace = {name: request.headers[name] for name in CARRIED if name in request.headers}
        return AskedOf(began_s, began_s + timeout_ms / 1000, x_region or limits.region, key, request.state.request_id, trace)


ToRespond = Annotated[AskedOf, Depends(_AskedWith(Scope.RESPOND))]
ToDetect = Annotated[AskedOf, Depends(_AskedWith(Scope.DETECT))]
TheIngress = Annotated[Ingress, Depends(this_ingress)]
