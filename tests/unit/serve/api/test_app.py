"""HTTP application as a whole: its paths and its OpenAPI document."""

from typing import Any

import pytest

from serve.api.app import make_http_app
from serve.config import HttpConfig
from support.http_client import CHAT, COMPLETIONS, DETECT, RESPOND, RESPONSES

ADMIN = {f"/v1/admin/adapters{path}" for path in ("", "/promote", "/rollback", "/status")}
OPENAI = {CHAT, COMPLETIONS, RESPONSES, "/v1/models", "/v1/models/{name}"}
OWN = {RESPOND, DETECT, "/v1/personas", "/healthz", "/readyz", "/version", "/metrics"}


@pytest.fixture(scope="module")
def paths() -> dict[str, Any]:
    document = make_http_app(HttpConfig(), None, None, on_loopback=True).openapi()
    found: dict[str, Any] = document["paths"]
    return found


def test_the_document_has_every_path(paths: dict[str, Any]) -> None:
    assert set(paths) == ADMIN | OPENAI | OWN


def test_every_json_response_has_a_schema(paths: dict[str, Any]) -> None:
    """An empty schema would let anything pass."""
    for path, methods in paths.items():
        for method, operation in methods.items():
            content = operation["responses"]["200"]["content"]
            if path != "/metrics":  # which is not JSON
                assert content["application/json"]["schema"], (method, path)


@pytest.mark.parametrize("path", [RESPOND, CHAT, COMPLETIONS, RESPONSES])
def test_streams_are_documented(paths: dict[str, Any], path: str) -> None:
    assert "text/event-stream" in paths[path]["post"]["responses"]["200"]["content"]


@pytest.mark.parametrize(
    ("path", "media_type"), [(RESPOND, "application/problem+json"), (CHAT, "application/json")]
)
@pytest.mark.parametrize("status", ["401", "413", "429", "502", "503", "504"])
def test_errors_are_documented(
    paths: dict[str, Any], path: str, media_type: str, status: str
) -> None:
    assert media_type in paths[path]["post"]["responses"][status]["content"]


@pytest.mark.parametrize("status", ["404", "503"])
def test_errors_of_a_model_are_documented(paths: dict[str, Any], status: str) -> None:
    assert status in paths["/v1/models/{name}"]["get"]["responses"]
