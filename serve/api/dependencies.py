"""Dependencies of the routes: content type, deadline, key, and the replica that answers."""

from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from serve.api.auth import KeyRing, Scope
from serve.config import HttpConfig
from serve.errors import InvalidRequest, WrongContentType
from serve.pipeline.messages import RequestContext
from serve.pipeline.replica import Responder, new_request_id, this_responder
from serve.tracing import CARRIED

BEARER = HTTPBearer(auto_error=False, description="an API key; none if the server has no keys")
Timeout = Annotated[int | None, Header(ge=1, description="the request times out after that")]
Region = Annotated[
    str | None, Header(pattern="^[A-Za-z]{2}$", description="ISO 3166, for helplines")
]


async def require_json(request: Request) -> None:
    """Raise WrongContentType unless the body is declared as JSON."""
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise WrongContentType("send the body as content-type: application/json")


class RequireScope:
    """Dependency that checks the key and returns the request's context."""

    def __init__(self, scope: Scope, id_prefix: str) -> None:
        """Require `scope`, and start request ids with `id_prefix`."""
        self._scope = scope
        self._id_prefix = id_prefix

    async def __call__(
        self,
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
        x_request_timeout_ms: Timeout = None,
        x_region: Region = None,
    ) -> RequestContext:
        """Return the context. Raises Unauthenticated, Forbidden or InvalidRequest."""
        keys: KeyRing | None = request.app.state.keys
        key = keys.find(bearer.credentials if bearer else "", self._scope) if keys else None
        config: HttpConfig = request.app.state.config
        default_ms = min(config.default_timeout_ms, config.max_timeout_ms)
        timeout_ms = x_request_timeout_ms or default_ms
        if timeout_ms > config.max_timeout_ms:
            raise InvalidRequest(f"x-request-timeout-ms may be at most {config.max_timeout_ms}")
        began_s: float = request.state.began_s
        headers = request.headers
        return RequestContext(
            request_id=new_request_id(self._id_prefix),
            began_s=began_s,
            deadline_s=began_s + timeout_ms / 1000,
            region=x_region or config.region,
            limits=key.limits if key else None,
            x_request_id=request.state.request_id,
            trace={name: headers[name] for name in CARRIED if name in headers},
        )


ChatContext = Annotated[RequestContext, Depends(RequireScope(Scope.RESPOND, "chatcmpl"))]
RespondContext = Annotated[RequestContext, Depends(RequireScope(Scope.RESPOND, "resp"))]
DetectContext = Annotated[RequestContext, Depends(RequireScope(Scope.DETECT, "detect"))]
ResponderDep = Annotated[Responder, Depends(this_responder)]
