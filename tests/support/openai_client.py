"""The `openai` package as a client of the HTTP application."""

from typing import Any

import openai

from serve.api.auth import KeyRing
from support.http_client import FakeResponder, http_client


def openai_client(
    responder: FakeResponder, keys: KeyRing | None = None, secret: str = ""
) -> openai.AsyncOpenAI:
    """Return a client that does not repeat requests."""
    client: Any = http_client(responder, keys=keys)
    return openai.AsyncOpenAI(
        base_url="http://localhost/v1",
        api_key=secret or "unused",
        max_retries=0,
        http_client=client,
    )
