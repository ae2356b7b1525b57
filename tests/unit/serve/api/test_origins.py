"""Web pages: only those of the configured origins may call, and only under this server's names."""

import httpx
import pytest
from pydantic import ValidationError

from serve.config import HttpConfig
from support.admin_key import ADMIN_HEADERS
from support.http_client import RESPOND, FakeResponder, http_client

KNOWN = "https://friend.example"
PROMOTE = "/v1/admin/adapters/promote"
UNKNOWN = "https://stranger.example"
OPEN = HttpConfig(cors_origins=(KNOWN,), max_body_bytes=1024)
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": (
        "authorization, content-type, x-request-timeout-ms, x-stainless-lang, x-stainless-os"
    ),
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
    assert (asked.status_code, posted.status_code) == (405, 403)
    assert (cors_headers(asked), cors_headers(posted)) == ({}, {})


async def test_pages_of_a_configured_origin_may_call_and_read_headers() -> None:
    asked = await preflight(OPEN, KNOWN)
    posted = await post(OPEN, KNOWN)
    assert (asked.status_code, posted.status_code) == (200, 200)
    assert asked.headers["access-control-allow-origin"] == KNOWN
    # The `openai` package for JavaScript sends x-stainless-lang and others.
    assert (
        asked.headers["access-control-allow-headers"] == PREFLIGHT["access-control-request-headers"]
    )
    assert cors_headers(posted) == {
        "access-control-allow-origin": KNOWN,
        "access-control-expose-headers": (
            "x-emotion, retry-after, x-request-id, x-dropped-messages, x-max-tokens"
        ),
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


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("rebound.example", 421),
        ("[", 421),
        ("a b/?", 421),
        ("rebound.example:8000", 421),
        ("localhost.rebound.example", 421),
        ("", 421),
    ],
)
async def test_on_loopback_only_its_own_names_are_accepted(host: str, status: int) -> None:
    responder = FakeResponder()
    client = http_client(responder)
    reply = await client.post(RESPOND, json={"text": "hello"}, headers={"host": host})
    listed = await client.get("/v1/personas", headers={"host": host})
    assert (reply.status_code, listed.status_code) == (status, status)
    assert len(responder.messages) == (status == 200)


async def test_beyond_loopback_and_for_probes_any_name_is_accepted() -> None:
    named = {"host": "friend.example"}
    client = http_client(FakeResponder(), on_loopback=False)
    assert (await client.get("/v1/personas", headers=named)).status_code == 200
    for path in ("/healthz", "/readyz"):
        assert (await http_client(FakeResponder()).get(path, headers=named)).status_code == 200


async def test_configured_hosts_replace_the_default() -> None:
    client = http_client(FakeResponder(), HttpConfig(allowed_hosts=("Friend.example",)))
    statuses = [
        (await client.get("/v1/personas", headers={"host": host})).status_code
        for host in ("friend.example:443", "localhost")
    ]
    assert statuses == [200, 421]


@pytest.mark.parametrize(
    ("origins", "origin", "path", "allowed"),
    [
        ((), "http://localhost", RESPOND, True),
        ((), KNOWN, RESPOND, False),
        ((), "null", RESPOND, False),
        ((), "http://[", RESPOND, False),
        ((), "http://[/]", PROMOTE, False),
        ((KNOWN,), KNOWN, RESPOND, True),
        ((KNOWN,), UNKNOWN, RESPOND, False),
        (("*",), UNKNOWN, RESPOND, True),
        (("*",), UNKNOWN, PROMOTE, False),
        ((KNOWN,), KNOWN, PROMOTE, True),
        ((), UNKNOWN, PROMOTE, False),
    ],
)
async def test_only_pages_of_known_origins_may_change_something(
    origins: tuple[str, ...], origin: str, path: str, allowed: bool
) -> None:
    client = http_client(FakeResponder(), HttpConfig(cors_origins=origins))
    body = {"name": "joy@scripted"} if path == PROMOTE else {"text": "hello"}
    reply = await client.post(path, json=body, headers=ADMIN_HEADERS | {"origin": origin})
    assert reply.status_code == (200 if allowed else 403)
    assert (await client.get("/v1/personas", headers={"origin": origin})).status_code == 200
