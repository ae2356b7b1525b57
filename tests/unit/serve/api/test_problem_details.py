"""Every error becomes an answer, in one of two shapes, and none repeats what a user wrote."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from ray.exceptions import RayTaskError

from models.errors import FyeError, ManifestError
from serve.api import problem_details
from serve.api.middleware import Edge
from serve.api.problem_details import openai_error, problem_of
from serve.api.schemas import Problem
from serve.config import IngressConfig
from serve.errors import EngineError, InvalidRequest, NotReady, PromptTooLong, UnknownModel, WrongContentType

SECRET, ID = "what-the-user-wrote", "call-1"
INTERNAL = Problem(type="urn:face-your-emotions:internal", title="Internal error", status=500, detail="something went wrong on the server")
TABLE = [
    (InvalidRequest, 422, "invalid-request", "Invalid request"),
    (PromptTooLong, 413, "prompt-too-long", "Prompt too long"),
    (UnknownModel, 404, "unknown-model", "Unknown model"),
    (WrongContentType, 415, "wrong-content-type", "Wrong content type"),
    (EngineError, 500, "engine", "Engine"),
    (NotReady, 503, "not-ready", "Not ready"),
    (ManifestError, 500, "manifest", "Manifest"),
]


def from_a_stage(cause: Exception) -> Exception:
    """The error as Ray raises it at the caller: its own class, with the remote traceback as its text."""
    wrapped: Exception = RayTaskError("respond", f"Traceback: {SECRET}", cause, proctitle="stage").as_instanceof_cause()
    return wrapped


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    problem_details.install(app)
    app.add_middleware(Edge, limits=IngressConfig())

    async def fail(kind: str) -> None:
        raise {"own": EngineError("the engine failed"), "other": RuntimeError(SECRET)}[kind]

    app.get("/fail")(fail)
    app.get("/v1/models")(fail)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(("kind", "status", "slug", "title"), TABLE)
def test_an_error_of_ours_is_its_own_problem(kind: type[FyeError], status: int, slug: str, title: str) -> None:
    expected = Problem(type=f"urn:face-your-emotions:{slug}", title=title, status=status, detail="the reason")
    assert problem_of(kind("the reason"), ID) == expected


@pytest.mark.parametrize("kind", [PromptTooLong, EngineError])
def test_an_error_that_crossed_between_stages_keeps_only_its_own_words(kind: type[FyeError]) -> None:
    wrapped = from_a_stage(kind("the reason"))
    assert SECRET in str(wrapped)
    assert problem_of(wrapped, ID) == problem_of(kind("the reason"), ID)


@pytest.mark.parametrize("error", [ValueError(SECRET), KeyError(SECRET), from_a_stage(ValueError(SECRET))])
def test_an_unforeseen_error_tells_nothing(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert problem_of(error, ID) == INTERNAL
    assert [record.message for record in caplog.records] == [f"request {ID}: unexpected {type(error).__name__} at "]


@pytest.mark.parametrize(("status", "kind"), [(422, "invalid_request_error"), (404, "invalid_request_error"), (503, "server_error")])
def test_openais_shape_says_whose_fault_it_is(status: int, kind: str) -> None:
    problem = Problem(type="urn:face-your-emotions:slug", title="Slug", status=status, detail="the reason")
    assert openai_error(problem) == {"error": {"message": "the reason", "type": kind, "param": None, "code": "slug"}}


def test_openais_shape_names_the_wrong_fields() -> None:
    wrong = [{"field": "stop.1", "problem": "too short"}, {"field": "n", "problem": "must be 1"}]
    problem = Problem(type="urn:face-your-emotions:slug", title="Slug", status=422, detail="not valid", errors=wrong)
    assert openai_error(problem)["error"]["message"] == "not valid; stop.1: too short; n: must be 1"


@pytest.mark.parametrize(
    ("path", "media", "expected"),
    [
        ("/fail", "application/problem+json", INTERNAL.model_dump()),
        ("/v1/models", "application/json", openai_error(INTERNAL)),
    ],
)
async def test_an_unforeseen_error_is_answered_in_the_paths_shape(client: httpx.AsyncClient, path: str, media: str, expected: Any) -> None:
    reply = await client.get(path, params={"kind": "other"})
    assert (reply.status_code, reply.headers["content-type"], reply.json()) == (500, media, expected)


async def test_an_unforeseen_error_is_logged_with_the_id_that_the_client_has(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await client.get("/fail", params={"kind": "other"}, headers={"x-request-id": ID})
    assert f"request {ID}: unexpected RuntimeError at fail (" in caplog.text


async def test_an_error_of_ours_is_answered_with_its_status(client: httpx.AsyncClient) -> None:
    reply = await client.get("/fail", params={"kind": "own"})
    assert reply.status_code == 500
    assert reply.json() == problem_of(EngineError("the engine failed"), ID).model_dump()


async def test_an_unknown_path_is_a_problem_that_does_not_repeat_it(client: httpx.AsyncClient) -> None:
    reply = await client.get(f"/{SECRET}")
    assert (reply.status_code, reply.json()["type"]) == (404, "urn:face-your-emotions:not-found")
    assert SECRET not in reply.text


async def test_a_wrong_method_says_which_is_right(client: httpx.AsyncClient) -> None:
    reply = await client.post("/fail")
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET")
    assert reply.json()["type"] == "urn:face-your-emotions:method-not-allowed"


async def test_a_missing_field_is_named(client: httpx.AsyncClient) -> None:
    reply = await client.get("/fail")
    assert reply.status_code == 422
    assert reply.json()["errors"] == [{"field": "kind", "problem": "Field required"}]
