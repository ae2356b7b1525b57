"""Client errors over HTTP: a stable type, and nothing of the request in the response."""

import json
from typing import Any

import httpx
import pytest

SECRET = "qzxjv"
CHAT = "/v1/chat/completions"
JSON = {"content-type": "application/json"}
ANSWERED_S = 20  # of the 30 that the client waits
TEXTS: dict[str, Any] = {
    "empty": "",
    "white space": " \t\n\u3000",
    "too long": SECRET + "x" * 3996,
    "number": 5,
    "null": None,
    "boolean": True,
    "object": {SECRET: SECRET},
    "nul": f"{SECRET}\0",
    "lone surrogate": f"{SECRET}\ud800",
}
BODIES: dict[str, tuple[bytes, int, str]] = {
    "no body": (b"", 422, "invalid-request"),
    "array": (f'["{SECRET}"]'.encode(), 422, "invalid-request"),
    "string": (f'"{SECRET}"'.encode(), 422, "invalid-request"),
    "null": (b"null", 422, "invalid-request"),
    "invalid json": (f'{{"text": {SECRET}'.encode(), 400, "invalid-json"),
    "invalid utf-8": (f'{{"text": "{SECRET}'.encode() + b'\xff\xfe"}', 400, "invalid-json"),
    "deep nesting": (b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "invalid-json"),
    "endless number": (b'{"text": ' + b"9" * 5000 + b"}", 400, "invalid-json"),
}


def with_text(path: str, text: Any) -> bytes:
    body = {"messages": [{"role": "user", "content": text}]} if path == CHAT else {"text": text}
    return json.dumps(body).encode()


def check(reply: httpx.Response, path: str, status: int, slug: str) -> None:
    """Check the shape of an error: OpenAI's under its paths, where invalid requests are 400."""
    assert reply.status_code == (400 if (path, status) == (CHAT, 422) else status)
    assert reply.elapsed.total_seconds() < ANSWERED_S
    assert SECRET not in reply.text
    if path == CHAT:
        assert reply.headers["content-type"] == "application/json"
        error = reply.json()["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", slug)
        return
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert (problem["status"], problem["type"]) == (status, f"urn:face-your-emotions:{slug}")
    assert problem["title"]
    assert problem["detail"]


PATHS = pytest.mark.parametrize("path", ["/v1/respond", "/v1/detect", CHAT])


@PATHS
@pytest.mark.parametrize("name", TEXTS)
def test_rejects_an_invalid_text(client: httpx.Client, path: str, name: str) -> None:
    reply = client.post(path, content=with_text(path, TEXTS[name]), headers=JSON)
    # OpenAI's clients shorten a conversation when they see this code.
    shorten = (path, name) == (CHAT, "too long")
    check(reply, path, 422, "context_length_exceeded" if shorten else "invalid-request")
    assert ("messages.0.content" if path == CHAT else '"field":"text"') in reply.text


@PATHS
@pytest.mark.parametrize("name", BODIES)
def test_rejects_an_invalid_body(client: httpx.Client, path: str, name: str) -> None:
    content, status, slug = BODIES[name]
    check(client.post(path, content=content, headers=JSON), path, status, slug)


@PATHS
@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data; boundary=x", "application/jsonl", None]
)
def test_rejects_a_body_not_declared_as_json(
    client: httpx.Client, path: str, kind: str | None
) -> None:
    headers = {"content-type": kind} if kind else {}
    check(
        client.post(path, content=with_text(path, SECRET), headers=headers),
        path,
        415,
        "wrong-content-type",
    )


@PATHS
def test_rejects_an_unknown_field_by_name(client: httpx.Client, path: str) -> None:
    body = json.loads(with_text(path, SECRET)) | {"temprature": SECRET}
    reply = client.post(path, json=body)
    check(reply, path, 422, "invalid-request")
    assert "temprature" in reply.text


@pytest.mark.parametrize("text", [[], ["fine", ""], ["fine"] * 257, [["fine"]], [SECRET, 5]])
def test_rejects_a_list_with_one_invalid_text(client: httpx.Client, text: list[Any]) -> None:
    check(client.post("/v1/detect", json={"text": text}), "/v1/detect", 422, "invalid-request")


@pytest.mark.parametrize("path", [f"/{SECRET}", f"/v1/personas/{SECRET}"])
def test_unknown_path_is_404(client: httpx.Client, path: str) -> None:
    check(client.get(path), path, 404, "not-found")


@pytest.mark.parametrize("path", ["/v1/respond", "/v1/detect", CHAT])
def test_wrong_method_is_405(client: httpx.Client, path: str) -> None:
    reply = client.get(path)
    check(reply, path, 405, "method-not-allowed")
    assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/v1/respond", CHAT])
def test_rejects_a_prompt_that_is_too_long(client: httpx.Client, path: str) -> None:
    """The stage that knows how long it is lies two processes away."""
    text = f"{SECRET[0]} " * 2000
    reply = client.post(path, content=with_text(path, text), headers=JSON)
    if path == CHAT:
        check(reply, path, 400, "context_length_exceeded")
    else:
        check(reply, path, 413, "prompt-too-long")


def test_too_long_prompt_starts_no_stream(client: httpx.Client) -> None:
    body = {"text": "q " * 2000, "stream": True}
    check(client.post("/v1/respond", json=body), "/v1/respond", 413, "prompt-too-long")
