"""What a page of another origin may call and read, of the ingress and of what the proxy answers in its place."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from serve.api.middleware import REQUEST_ID
from serve.api.sse import EMOTION_HEADER
from serve.config import IngressConfig

METHODS = ("GET", "POST")
ASKED = ("authorization", "content-type", "traceparent", "x-region", "x-request-id", "x-request-timeout-ms")
SHOWN = (EMOTION_HEADER, "retry-after", REQUEST_ID)


def with_cors(app: ASGIApp, limits: IngressConfig) -> ASGIApp:
    """`app`, whose replies the pages of the named origins may read. Unless one is named, nothing of it is there."""
    if not limits.cors_origins:
        return app
    return CORSMiddleware(app, allow_methods=METHODS, allow_headers=ASKED, expose_headers=SHOWN, allow_origins=limits.cors_origins)
