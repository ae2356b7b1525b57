"""HEAD has the status and headers of GET, and a slash at the end of a path changes nothing."""

import pytest

from support.http_client import BODIES, CHAT, RESPOND, FakeResponder, http_client

PATHS = ["/healthz", "/health", "/readyz", "/version", "/v1/models", "/v1/models/joy", "/docs"]


@pytest.mark.parametrize("path", PATHS)
async def test_has_the_headers_of_get(path: str) -> None:
    client = http_client(FakeResponder())
    found, expected = await client.head(path), await client.get(path)
    assert (found.status_code, found.content) == (200, b"")
    for name in ("content-length", "content-type"):
        assert found.headers[name] == expected.headers[name]


@pytest.mark.parametrize("path", [RESPOND, CHAT])
async def test_is_not_allowed_where_get_is_not(path: str) -> None:
    reply = await http_client(FakeResponder()).head(path)
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", BODIES)
async def test_a_slash_at_the_end_is_no_redirect(path: str) -> None:
    reply = await http_client(FakeResponder()).post(f"{path}/", json=BODIES[path])
    assert (reply.status_code, reply.history) == (200, [])
