"""CORS: only pages of the configured origins may call the API and read its responses."""

import httpx
import pytest
from pydantic import ValidationError

from serve.config import HttpConfig
from support.http_client import RESPOND, FakeResponder, http_client

KNOWN = "https://friend.example"
UNKNOWN = "https://stranger.example"
OPEN = HttpConfig(cors_origins=(KNOWN,), max_body_bytes=1024)
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization, content-type, x-request-timeout-ms",
}


async def preflight(config: HttpConfig, origin: str) -> httpx.Response:
    client = http_client(FakeResponder(), config)
    return await client.options(RESPOND, headers=PREFLIGHT | {"origin": origin})


async def post(config: HttpConfig, origin: str, text: str = "hello") -> httpx.Response:
    client = http_client(FakeResponder(), config)
    return await client.post(RESPOND, json={"text": text}, headers={"origin": origin})


def cors_headers(reply: httpx.Response) -> dict[str, str]:
    names = [name for name in reply.headers if name.startswith("access-control-")]
    return {name: reply.headers[name] for name in names}


async def test_allows_no_page_by_default() -> None:
    asked = await preflight(HttpConfig(), KNOWN)
    posted = await post(HttpConfig(), KNOWN)
    assert (asked.status_code, posted.status_code) == (405, 200)
    assert (cors_headers(asked), cors_headers(posted)) == ({}, {})


async def test_pages_of_a_configured_origin_may_call_and_read_headers() -> None:
    asked = await preflight(OPEN, KNOWN)
    posted = await post(OPEN, KNOWN)
    assert (asked.status_code, posted.status_code) == (200, 200)
    assert asked.headers["access-control-allow-origin"] == KNOWN
    assert cors_headers(posted) == {
        "access-control-allow-origin": KNOWN,
        "access-control-expose-headers": "x-emotion, retry-after, x-request-id",
    }


async def test_pages_of_a_configured_origin_may_read_early_rejections() -> None:
    reply = await post(OPEN, KNOWN, "x" * 2000)
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (413, KNOWN)


async def test_pages_of_a_configured_origin_may_read_unexpected_errors() -> None:
    client = http_client(FakeResponder((), error=ValueError("no")), OPEN)
    reply = await client.post(RESPOND, json={"text": "hello"}, headers={"origin": KNOWN})
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (500, KNOWN)


async def test_pages_of_a_configured_origin_may_read_streams() -> None:
    client = http_client(FakeResponder(), OPEN)
    body = {"text": "hello", "stream": True}
    reply = await client.post(RESPOND, json=body, headers={"origin": KNOWN})
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, KNOWN)


async def test_pages_of_other_origins_may_not_read_anything() -> None:
    asked = await preflight(OPEN, UNKNOWN)
    posted = await post(OPEN, UNKNOWN)
    assert asked.status_code == 400
    assert "access-control-allow-origin" not in asked.headers
    assert "access-control-allow-origin" not in posted.headers


@pytest.mark.parametrize(
    "origin", ["friend.example", "https://friend.example/", "https://friend.example/page", ""]
)
def test_rejects_an_origin_that_no_browser_sends(origin: str) -> None:
    with pytest.raises(ValidationError, match="cors_origins"):
        HttpConfig(cors_origins=(origin,))
