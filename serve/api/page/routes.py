"""Routes of the page: two documents, their files, and what they must know of the server.

Each file is revalidated by its ETag, so a new version is seen at once and an old one is not sent
twice. The security policy allows no inline script or style, no other origin, and no HTML made from
strings.
"""

from functools import cache

from fastapi import APIRouter, Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response

from models.schema import FrozenModel
from serve.api.page.assets import Asset, load_assets

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
NOT_MODIFIED = 304
NOT_FOUND = 404

router = APIRouter(include_in_schema=False)


class PageSettings(FrozenModel):
    """Settings of the server that the page needs."""

    keys: bool


@router.get("/")
async def conversation(request: Request) -> Response:
    """Return the page of the conversation."""
    return _send("index.html", request.headers)


@router.get("/status")
async def status(request: Request) -> Response:
    """Return the page for operators."""
    return _send("status.html", request.headers)


@router.get("/page/settings")
async def settings(request: Request) -> PageSettings:
    """Return whether requests need an API key."""
    return PageSettings(keys=request.app.state.keys is not None)


@router.get("/page/{file}")
async def shared_file(file: str, request: Request) -> Response:
    """Return a file that both pages use."""
    return _send(file, request.headers)


@router.get("/page/{room}/{file}")
async def file_of_room(room: str, file: str, request: Request) -> Response:
    """Return a file of one room of the page, as `chat/app.js`."""
    return _send(f"{room}/{file}", request.headers)


@cache
def _assets() -> dict[str, Asset]:
    return load_assets()


def _send(path: str, headers: Headers) -> Response:
    """Return a file, or 304 if the client has it. Raises HTTPException for an unknown path."""
    found = _assets().get(path)
    if found is None:
        raise HTTPException(NOT_FOUND)
    sent = HEADERS | {"etag": found.etag}
    if found.etag in headers.get("if-none-match", ""):
        return Response(status_code=NOT_MODIFIED, headers=sent)
    return Response(found.body, media_type=found.media_type, headers=sent)
