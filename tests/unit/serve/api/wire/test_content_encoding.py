"""Compressed request bodies: accepted as gzip or deflate, and bounded once they are inflated."""

import gzip
import json
import zlib
from typing import Any

import httpx
import pytest

from serve.api.wire.content_encoding import decoded
from serve.config import HttpConfig
from serve.errors import BodyTooLarge, InvalidContentEncoding, UnsupportedEncoding
from support.http_client import CHAT, HELLO, JSON, FakeResponder, http_client

BODY = json.dumps(HELLO).encode()


async def post(content: bytes, encoding: str, limit: int = 1024) -> httpx.Response:
    client = http_client(FakeResponder(), HttpConfig(max_body_bytes=limit))
    return await client.post(CHAT, content=content, headers=JSON | {"content-encoding": encoding})


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (gzip.compress(BODY), "gzip"),
        (gzip.compress(BODY), " X-GZIP "),
        (zlib.compress(BODY), "deflate"),
        (BODY, "identity"),
        (BODY, ""),
    ],
)
async def test_answers_a_compressed_request(content: bytes, encoding: str) -> None:
    assert (await post(content, encoding)).status_code == 200


@pytest.mark.parametrize(
    ("content", "encoding", "status", "code"),
    [
        (gzip.compress(b" " * 1025), "gzip", 413, "body-too-large"),
        (gzip.compress(b" " * 10_000_000), "gzip", 413, "body-too-large"),
        (BODY, "gzip", 400, "invalid-content-encoding"),
        (gzip.compress(BODY)[:-4], "gzip", 400, "invalid-content-encoding"),
        (gzip.compress(BODY) * 2, "gzip", 400, "invalid-content-encoding"),
        (BODY, "br", 415, "unsupported-encoding"),
        (gzip.compress(gzip.compress(BODY)), "gzip, gzip", 415, "unsupported-encoding"),
    ],
)
async def test_rejects_what_it_cannot_read(
    content: bytes, encoding: str, status: int, code: str
) -> None:
    reply = await post(content, encoding, 20_000 if len(content) > 1024 else 1024)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize("size", [0, 999, 1000])
def test_a_body_of_the_largest_size_is_inflated(size: int) -> None:
    assert decoded(gzip.compress(b"x" * size), "gzip", 1000) == b"x" * size


@pytest.mark.parametrize(
    ("body", "encoding", "kind"),
    [
        (gzip.compress(b"x" * 1001), "gzip", BodyTooLarge),
        (b"", "gzip", InvalidContentEncoding),
        (b"x", "zstd", UnsupportedEncoding),
    ],
)
def test_errors(body: bytes, encoding: str, kind: Any) -> None:
    with pytest.raises(kind):
        decoded(body, encoding, 1000)
