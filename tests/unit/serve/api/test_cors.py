"""Pages of other origins: none may read a reply, but for those that the configuration names."""

import httpx
import pytest
from pydantic import ValidationError

from serve.config import IngressConfig
from support.http_client import FakeIngress, http_client

FRIEND, STRANGER = "https://friend.example", "https://stranger.example"
OPEN = IngressConfig(cors_origins=(FRIEND,), max_body_bytes=1024)
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, content-type, x-request-timeout-ms"}


async def preflight(limits: IngressConfig, origin: str) -> httpx.Response:
    return await http_client(FakeIngress(), limits).options("/v1/respond", headers=PREFLIGHT | {"origin": origin})


async def post(limits: IngressConfig, origin: str, text: str = "hello") -> httpx.Response:
    return await http_client(FakeIngress(), limits).post("/v1/respond", json={"text": text}, headers={"origin": origin})


def allowed(reply: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in reply.headers.items() if name.startswith("access-control-")}


async def test_unless_configured_no_page_is_allowed_anything() -> None:
    asked, posted = await preflight(IngressConfig(), FRIEND), await post(IngressConfig(), FRIEND)
    assert (asked.status_code, posted.status_code) == (405, 200)
    assert (allowed(asked), allowed(posted)) == ({}, {})


async def test_a_page_of_an_origin_that_is_named_may_call_and_read_our_headers() -> None:
    asked, posted = await preflight(OPEN, FRIEND), await post(OPEN, FRIEND)
    assert (asked.status_code, posted.status_code) == (200, 200)
    assert asked.headers["access-control-allow-origin"] == FRIEND
    assert allowed(posted) == {
        "access-control-allow-origin": FRIEND,
        "access-control-expose-headers": "x-emotion, retry-after, x-request-id",
    }


async def test_it_may_read_what_is_refused_at_the_edge() -> None:
    reply = await post(OPEN, FRIEND, "x" * 2000)
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (413, FRIEND)


async def test_a_page_of_another_origin_may_not() -> None:
    asked, posted = await preflight(OPEN, STRANGER), await post(OPEN, STRANGER)
    assert asked.status_code == 400
    assert ["access-control-allow-origin" in reply.headers for reply in (asked, posted)] == [False, False]


@pytest.mark.parametrize("origin", ["friend.example", "https://friend.example/", "https://friend.example/page", ""])
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    with pytest.raises(ValidationError, match="cors_origins"):
        IngressConfig(cors_origins=(origin,))
