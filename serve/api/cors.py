"""CORS: pages of the configured origins may call the API and read its responses."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from serve.api.requests import EMOTION, REGION, REQUEST_ID, TIMEOUT_MS
from serve.config import HttpConfig

METHODS = ("GET", "POST")
ALLOWED = ("authorization", "content-type", "traceparent", REGION, REQUEST_ID, TIMEOUT_MS)
EXPOSED = (EMOTION, "retry-after", REQUEST_ID)


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
