"""Requests that mean a route and do not name it: HEAD, and a slash at the end of the path."""

from starlette.types import ASGIApp, Receive, Scope, Send


class RouteAliases:
    """ASGI middleware that routes HEAD as GET, and a path with a slash at its end without it.

    A redirect would do for the slash, but many clients do not follow one after POST. The HTTP
    server leaves out the body of a response to HEAD.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            # A copy: the HTTP server reads its own scope.
            scope = {**scope, "method": _method(scope["method"]), "path": _path(scope["path"])}
        await self._app(scope, receive, send)


def _method(given: str) -> str:
    return "GET" if given == "HEAD" else given


def _path(given: str) -> str:
    return given.removesuffix("/") or "/"
