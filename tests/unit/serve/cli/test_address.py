"""Addresses as text."""

import httpx
import pytest

from serve.cli.address import authority, url_of
from serve.cli.chat.client import open_client


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1:8000"),
        ("localhost", "localhost:8000"),
        ("::1", "[::1]:8000"),
        ("fe80::1%eth0", "[fe80::1%25eth0]:8000"),
    ],
)
def test_an_ipv6_address_stands_in_brackets(host: str, expected: str) -> None:
    assert authority(host, 8000) == expected
    assert url_of(host, 8000) == f"http://{expected}"


async def test_urls_of_ipv6_are_understood() -> None:
    assert httpx.URL(url_of("::1", 8000)).host == "::1"
    async with open_client("::1", 8000) as client:
        assert (client.base_url.host, client.base_url.port) == ("::1", 8000)
