"""Checks before a route runs: host, origin, key, content type, deadline."""

from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers

from serve.api.auth import KeyRing, Keys, Scope
from serve.api.origins import READING, BrowserRules
from serve.api.requests import ADMIN, CALLS, DETECT_PATH, call_of
from serve.config import HttpConfig
from serve.errors import Forbidden, InvalidRequest, WrongContentType
from serve.pipeline.messages import RequestContext
from serve.pipeline.replica import Responder, new_request_id, this_responder
from serve.telemetry.tracing import CARRIED

BEARER = HTTPBearer(auto_error=False, description="an API key; none if the server has no keys")
Timeout = Annotated[int | None, Header(ge=1, description="the request times out after that")]
Region = Annotated[
    str | None, Header(pattern="^[A-Za-z]{2}$", description="ISO 3166, for helplines")
]


class Gatekeeper:
    """Checks that need the headers alone, so that a rejected body is never read."""

    def __init__(self, rules: BrowserRules, keys: KeyRing | None, admin_keys: Keys | None) -> None:
        """Check hosts and origins by `rules`, and the key of every path that needs one."""
        self._rules = rules
        self._keys = keys
        self._admin_keys = admin_keys

    def check(self, method: str, path: str, headers: Headers) -> None:
        """Check one request. A route checks its key again.

        Raises:
            UnknownHost: the Host header names another server.
            Unauthenticated: the key is missing or unknown.
            Forbidden: the origin may not call, or the key lacks the scope.
        """
        self._rules.check(method, path, headers)
        if method in READING:
            return
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        secret = secret.strip() if scheme.lower() == "bearer" else ""
        if call_of(path) == ADMIN:
            find_admin(self._admin_keys, secret)
        elif self._keys is not None and path in CALLS:
            self._keys.find(secret, Scope.DETECT if path == DETECT_PATH else Scope.RESPOND)


def find_admin(keys: Keys | None, secret: str) -> str:
    """Return the name of the key that administrates.

    Raises:
        Unauthenticated: the key is missing or unknown.
        Forbidden: it lacks the scope, or the server has no key for administration.
    """
    if keys is None:
        raise Forbidden("administration needs an API key with the scope admin; configure api_keys")
    return keys.find(secret, Scope.ADMIN).name


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
        timeout_ms = x_request_timeout_ms or config.timeout_ms
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
CompletionContext = Annotated[RequestContext, Depends(RequireScope(Scope.RESPOND, "cmpl"))]
RespondContext = Annotated[RequestContext, Depends(RequireScope(Scope.RESPOND, "resp"))]
DetectContext = Annotated[RequestContext, Depends(RequireScope(Scope.DETECT, "detect"))]
ResponderDep = Annotated[Responder, Depends(this_responder)]
