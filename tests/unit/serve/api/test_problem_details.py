"""Errors as responses, in one of two shapes. None repeats user text."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from ray.exceptions import RayTaskError

from models.errors import FyeError, ManifestError
from serve.api import problem_details
from serve.api.middleware import RequestMiddleware
from serve.api.problem_details import Problem, headers_of, openai_error, problem_of
from serve.config import HttpConfig
from serve.errors import (
    EngineError,
    InvalidRequest,
    NotReady,
    Overloaded,
    PromptTooLong,
    Unauthenticated,
    UnknownModel,
    WrongContentType,
)
from serve.pipeline.attempts import Attempts
from support.http_client import LETS_ANYONE_IN

SECRET = "what-the-user-wrote"
REQUEST_ID = "call-1"
PREFIX = "urn:face-your-emotions:"
TABLE = [
    (InvalidRequest, 422, "invalid-request", "Invalid request"),
    (PromptTooLong, 413, "prompt-too-long", "Prompt too long"),
    (UnknownModel, 404, "unknown-model", "Unknown model"),
    (WrongContentType, 415, "wrong-content-type", "Wrong content type"),
    (EngineError, 500, "engine", "Engine"),
    (NotReady, 503, "not-ready", "Not ready"),
    (ManifestError, 500, "manifest", "Manifest"),
]


def from_another_process(cause: Exception) -> Exception:
    """Return an error as Ray raises it: of the cause's class, with the remote traceback as text."""
    make: Any = RayTaskError
    error = make("respond", f"Traceback: {SECRET}", cause, proctitle="replica")
    wrapped: Exception = error.as_instanceof_cause()
    return wrapped


def problem(status: int, errors: list[dict[str, str]] | None = None) -> Problem:
    return Problem(
        type=PREFIX + "slug", title="Slug", status=status, detail="the reason", errors=errors or []
    )


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    problem_details.install(app)
    app.add_middleware(
        RequestMiddleware,
        config=HttpConfig(),
        gatekeeper=LETS_ANYONE_IN,
        attempts=Attempts(tmp_path),
    )
    errors: dict[str, Exception] = {
        "own": EngineError("the engine failed"),
        "remote": from_another_process(Overloaded("full", 7)),
        "other": RuntimeError(SECRET),
    }

    async def fail(kind: str) -> None:
        raise errors[kind]

    app.get("/fail")(fail)
    app.get("/v1/models")(fail)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.mark.parametrize(("kind", "status", "slug", "title"), TABLE)
def test_a_known_error_has_its_own_problem(
    kind: type[FyeError], status: int, slug: str, title: str
) -> None:
    expected = Problem(type=PREFIX + slug, title=title, status=status, detail="the reason")
    assert problem_of(kind("the reason"), REQUEST_ID) == expected


@pytest.mark.parametrize("kind", [PromptTooLong, EngineError, Overloaded])
def test_an_error_of_another_process_keeps_only_its_own_message(kind: type[FyeError]) -> None:
    wrapped = from_another_process(kind("the reason"))
    assert SECRET in str(wrapped)
    assert problem_of(wrapped, REQUEST_ID) == problem_of(kind("the reason"), REQUEST_ID)


@pytest.mark.parametrize(
    "error", [ValueError(SECRET), KeyError(SECRET), from_another_process(ValueError(SECRET))]
)
def test_an_unexpected_error_is_not_described(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        found = problem_of(error, REQUEST_ID)
    assert (found.type, found.status, found.errors) == (PREFIX + "internal", 500, [])
    [line] = [record.getMessage() for record in caplog.records]
    assert REQUEST_ID in line
    assert type(error).__name__ in line
    assert SECRET not in line + found.model_dump_json()


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (Overloaded("full", 7), {"retry-after": "7"}),
        (from_another_process(Overloaded("full", 7)), {"retry-after": "7"}),
        (Unauthenticated("no key"), {"www-authenticate": "Bearer"}),
        (NotReady("wait"), {}),
        (ValueError(), {}),
    ],
)
def test_headers_of_an_error(error: Exception, headers: dict[str, str]) -> None:
    assert headers_of(error) == headers


@pytest.mark.parametrize(
    ("status", "kind"),
    [(422, "invalid_request_error"), (404, "invalid_request_error"), (503, "server_error")],
)
def test_openais_shape_tells_client_errors_from_server_errors(status: int, kind: str) -> None:
    error = {"message": "the reason", "type": kind, "param": None, "code": "slug"}
    assert openai_error(problem(status)) == {"error": error}


def test_openais_shape_names_the_invalid_fields() -> None:
    errors = [
        {"field": "stop.1", "problem": "too short"},
        {"field": "n", "problem": "must be 1"},
    ]
    error = openai_error(problem(422, errors))["error"]
    assert error["message"] == "the reason; stop.1: too short; n: must be 1"
    assert error["param"] == "stop.1"


@pytest.mark.parametrize(
    ("path", "media_type"),
    [("/fail", "application/problem+json"), ("/v1/models", "application/json")],
)
async def test_an_unexpected_error_has_the_shape_of_its_path(
    client: httpx.AsyncClient, path: str, media_type: str
) -> None:
    reply = await client.get(path, params={"kind": "other"})
    expected = problem_of(RuntimeError(), REQUEST_ID)
    body: Any = expected.model_dump() if path == "/fail" else openai_error(expected)
    assert (reply.status_code, reply.headers["content-type"]) == (500, media_type)
    assert reply.json() == body


async def test_an_unexpected_error_is_logged_with_the_clients_id(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"x-request-id": REQUEST_ID}
    await client.get("/fail", params={"kind": "other"}, headers=headers)
    assert f"request {REQUEST_ID}: unexpected RuntimeError at fail (" in caplog.text
    assert SECRET not in caplog.text


async def test_a_known_error_has_its_status(client: httpx.AsyncClient) -> None:
    reply = await client.get("/fail", params={"kind": "own"})
    assert reply.status_code == 500
    expected = problem_of(EngineError("the engine failed"), REQUEST_ID)
    assert reply.json() == expected.model_dump()


async def test_an_error_of_another_process_has_its_status_and_headers(
    client: httpx.AsyncClient,
) -> None:
    reply = await client.get("/fail", params={"kind": "remote"})
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "7")
    assert reply.json()["detail"] == "full"


async def test_an_unknown_path_is_not_repeated(client: httpx.AsyncClient) -> None:
    reply = await client.get(f"/{SECRET}")
    assert (reply.status_code, reply.json()["type"]) == (404, PREFIX + "not-found")
    assert SECRET not in reply.text


async def test_a_wrong_method_names_the_right_one(client: httpx.AsyncClient) -> None:
    reply = await client.post("/fail")
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET")
    assert reply.json()["type"] == PREFIX + "method-not-allowed"


async def test_a_missing_field_is_named(client: httpx.AsyncClient) -> None:
    reply = await client.get("/fail")
    assert reply.status_code == 422
    assert reply.json()["errors"] == [{"field": "kind", "problem": "Field required"}]
