"""Access by web pages: CORS, and checks of the headers Host and Origin.

A browser sends requests to any address that a page names. Host tells which name the page used, so
that a name of somebody else that leads here (DNS rebinding) is recognised; Origin tells whose page
it is. Programs that are not browsers send no Origin.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from serve.api.requests import (
    ADMIN,
    DROPPED_MESSAGES,
    EMOTION,
    HEALTH_PATHS,
    MAX_TOKENS,
    REQUEST_ID,
    call_of,
)
from serve.config import HttpConfig
from serve.errors import Forbidden, UnknownHost

METHODS = ("GET", "HEAD", "POST")
# SDKs add headers of their own, as x-stainless-lang; the origin decides who may call.
ALLOWED = ("*",)
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
READING = frozenset({"GET", "HEAD", "OPTIONS"})
EVERY_ORIGIN = "*"
EXPOSED = (EMOTION, "retry-after", REQUEST_ID, DROPPED_MESSAGES, MAX_TOKENS)


def with_cors(app: ASGIApp, config: HttpConfig) -> ASGIApp:
    """Wrap `app` in CORS middleware if origins are configured; otherwise return it unchanged."""
    if not config.cors_origins:
        return app
    return CORSMiddleware(
        app,
        allow_methods=METHODS,
        allow_headers=ALLOWED,
        expose_headers=EXPOSED,
        allow_origins=config.cors_origins,
    )


class BrowserRules:
    """Hosts and origins that a request may name."""

    def __init__(self, config: HttpConfig, on_loopback: bool) -> None:
        """Accept the configured ones. On loopback, names of other machines are not accepted."""
        default = LOOPBACK_HOSTS if on_loopback else None
        hosts = default if config.allowed_hosts is None else config.allowed_hosts
        self._hosts: Collection[str] | None = hosts and [name.lower() for name in hosts]
        self._origins = frozenset(config.cors_origins)

    def check(self, method: str, path: str, headers: Headers) -> None:
        """Check one request.

        Raises:
            UnknownHost: the Host header names another server.
            Forbidden: a page of an origin that is not configured wants to change something.
        """
        host = headers.get("host", "")
        if self._hosts is not None and path not in HEALTH_PATHS:
            self._check_host(host)
        origin = headers.get("origin")
        if origin is not None and method not in READING:
            self._check_origin(origin, host, call_of(path) == ADMIN)

    def _check_host(self, host: str) -> None:
        if _name_of(host) not in (self._hosts or ()):
            raise UnknownHost(
                "the Host header does not name this server; add the name to http.allowed_hosts"
            )

    def _check_origin(self, origin: str, host: str, admin: bool) -> None:
        same = _authority_of(origin) == host.lower()
        for_all = EVERY_ORIGIN in self._origins and not admin
        if not (same or for_all or origin in self._origins):
            raise Forbidden("pages of this origin may not call; add it to http.cors_origins")


def _authority_of(origin: str) -> str | None:
    """Return host and port of an origin, None if it is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _name_of(host: str) -> str:
    """Return a Host header without its port and the brackets of an IPv6 address."""
    name, _, port = host.lower().rpartition(":")
    if not name or not port.isdecimal():
        name = host.lower()
    return name.removeprefix("[").removesuffix("]")
