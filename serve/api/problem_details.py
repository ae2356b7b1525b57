"""Turns every error into an answer: `application/problem+json` (RFC 9457), or OpenAI's shape under its paths.

What a user wrote is never repeated in an error, nor logged.
"""

import logging
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from models.errors import FyeError
from serve.api.schemas import UNION_TAGS, Problem
from serve.errors import RetryLater, InvalidJson, InvalidRequest, Unauthenticated

log = logging.getLogger(__name__)
OPENAI_STATUS = {422: 400}  # what its clients take for a bad request; any other status is theirs too
OPENAI_PATHS = ("/v1/chat/completions", "/v1/models")
TYPE_PREFIX = "urn:face-your-emotions:"


def install(app: FastAPI) -> None:
    """Registers the handlers."""
    app.add_exception_handler(FyeError, _any)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)


def problem_of(error: BaseException, x_request_id: str) -> Problem:
    """A problem for any error; what nobody foresaw tells nothing but that, and is logged with the request's id."""
    cause = getattr(error, "cause", None)  # Ray wraps what a stage raised
    error = cause if isinstance(cause, FyeError) else error
    if isinstance(error, FyeError):
        return _problem(type(error), str(error))
    log.error("request %s: unexpected %s at %s", x_request_id, type(error).__name__, _where(error))
    return Problem(type=TYPE_PREFIX + "internal", title="Internal error", status=500, detail="something went wrong on the server")


def _where(error: BaseException) -> str:
    """The way to an error, without its words: they may be a user's."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    return " < ".join(f"{frame.name} ({Path(frame.filename).name}:{frame.lineno})" for frame in frames)


def _problem(kind: type[FyeError], detail: str, errors: list[dict[str, str]] | None = None) -> Problem:
    title = kind.type.replace("-", " ").capitalize()
    return Problem(type=TYPE_PREFIX + kind.type, title=title, status=kind.status, detail=detail, errors=errors or [])


def respond_with(request: Request, problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    if request.url.path.startswith(OPENAI_PATHS):
        return JSONResponse(openai_error(problem), OPENAI_STATUS.get(problem.status, problem.status), headers)
    return JSONResponse(problem.model_dump(), problem.status, headers, media_type="application/problem+json")


def openai_error(problem: Problem) -> dict[str, dict[str, str | None]]:
    """The same problem in OpenAI's shape. `param` is the first field that is wrong."""
    kind = "invalid_request_error" if problem.status < 500 else "server_error"
    detail = "; ".join([problem.detail, *(f"{error['field']}: {error['problem']}" for error in problem.errors)])
    param = problem.errors[0]["field"] if problem.errors else None
    return {"error": {"message": detail, "type": kind, "param": param, "code": problem.type.removeprefix(TYPE_PREFIX)}}


async def _any(request: Request, error: Exception) -> JSONResponse:
    return respond_with(request, problem_of(error, request.state.request_id), headers_of(error))


def headers_of(error: Exception) -> dict[str, str]:
    if isinstance(error, RetryLater):
        return {"retry-after": str(error.retry_after_s)}
    return {"www-authenticate": "Bearer"} if isinstance(error, Unauthenticated) else {}


async def _validation(request: Request, error: Exception) -> JSONResponse:
    found: Iterable[Any] = error.errors() if isinstance(error, RequestValidationError) else []
    rows = list(found)
    if any(row["type"] == "json_invalid" for row in rows):
        return respond_with(request, _problem(InvalidJson, "the body is not valid JSON"))
    errors = [{"field": _field(row["loc"]), "problem": row["msg"]} for row in rows]
    return respond_with(request, _problem(InvalidRequest, "the request is not valid", errors))


def _field(location: Iterable[str | int]) -> str:
    """The path of a field in the body, as `messages.0.content`."""
    _, *parts = location
    return ".".join(str(part) for part in parts if part not in UNION_TAGS) or "body"


async def _http(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 400:  # FastAPI's own, for a body that cannot even be decoded
        return respond_with(request, _problem(InvalidJson, "the body is not valid JSON"))
    slug = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "http")
    title = slug.replace("-", " ").capitalize()
    problem = Problem(type=TYPE_PREFIX + slug, title=title, status=error.status_code, detail=str(error.detail))
    return respond_with(request, problem, dict(error.headers or {}))
