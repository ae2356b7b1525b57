"""Paths of OpenAI that this server does not have: an error that SDKs can read."""

from typing import Any

import openai
import pytest

from support.http_client import FakeResponder, http_client, openai_client

EXISTING = "POST /v1/chat/completions, POST /v1/responses, POST /v1/completions and GET /v1/models"


@pytest.mark.parametrize(
    ("method", "path", "reason"),
    [
        ("POST", "/v1/embeddings", "embeddings are not supported"),
        ("POST", "/v1/moderations", "moderations are not supported"),
        ("POST", "/v1/audio/transcriptions", "audio is not supported"),
        ("POST", "/v1/images/generations", "images are not supported"),
        ("GET", "/v1/files", "files are not supported"),
        ("POST", "/v1/threads/t/runs", "threads are not supported"),
        ("GET", "/v1/chat/completions/chatcmpl-1", "not stored"),
        ("POST", "/v1/v1/chat/completions", "twice"),
        ("POST", "/chat/completions", "must end with /v1"),
        ("GET", "/models", "must end with /v1"),
        ("POST", "/v1/no-such-path", "does not exist"),
    ],
)
async def test_the_error_names_what_exists(method: str, path: str, reason: str) -> None:
    reply = await http_client(FakeResponder()).request(method, path, json={})
    assert (reply.status_code, reply.headers["content-type"]) == (404, "application/json")
    error = reply.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "not-found")
    assert reason in error["message"]
    assert EXISTING in error["message"]
    assert "no-such" not in error["message"]


async def test_the_package_shows_the_sentence() -> None:
    client: Any = openai_client(FakeResponder())
    with pytest.raises(openai.NotFoundError, match="embeddings are not supported; this server has"):
        await client.embeddings.create(model="auto", input="hello")


@pytest.mark.parametrize("path", ["/v1/personas/joy", "/v1/respond/x", "/nothing"])
async def test_other_paths_have_problem_details(path: str) -> None:
    reply = await http_client(FakeResponder()).get(path)
    assert reply.headers["content-type"] == "application/problem+json"
    assert (reply.status_code, reply.json()["detail"]) == (404, "Not Found")
