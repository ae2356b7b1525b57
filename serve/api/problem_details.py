"""Errors as HTTP responses: RFC 9457 problem details, or OpenAI's shape under its paths.

User text is never repeated in an error, nor logged.
"""

import logging
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from models.errors import FyeError
from serve.api.openai.unknown_paths import what_exists
from serve.api.requests import is_openai
from serve.errors import (
    InvalidJson,
    InvalidRequest,
    PromptTooLong,
    RetryLater,
    Unauthenticated,
)

log = logging.getLogger(__name__)
TYPE_PREFIX = "urn:face-your-emotions:"
# What OpenAI's clients expect for an invalid request, and for one that is too long.
OPENAI_STATUS = {InvalidRequest.type: 400, PromptTooLong.type: 400}
OPENAI_CODES = {PromptTooLong.type: "context_length_exceeded"}
# Names of union members in pydantic's error locations; they are no part of a field's path.
STRING = "(string)"
LIST = "(list)"
UNION_TAGS = (STRING, LIST)
SLUGS = {404: "not-found", 405: "method-not-allowed"}
MAX_ERRORS = 32  # in a response: a body of 2 MiB can have a hundred thousand
BAD_REQUEST = 400
NOT_FOUND = 404
SERVER_ERROR = 500


class Problem(BaseModel):
    """Problem details. `type` is stable; `errors` names the first invalid fields."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] = []


class OpenAIError(BaseModel):
    """Error in OpenAI's shape. `code` is the problem's type, or OpenAI's own code."""

    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: str | None
    code: str


class OpenAIProblem(BaseModel):
    """Body of an error response under OpenAI's paths."""

    error: OpenAIError


def install(app: FastAPI) -> None:
    """Register the exception handlers."""
    app.add_exception_handler(FyeError, _fye_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


def problem_of(error: BaseException, x_request_id: str) -> Problem:
    """Return the problem of any error. An unexpected one is logged and not described."""
    cause = getattr(error, "cause", None)  # Ray wraps errors of other processes
    error = cause if isinstance(cause, FyeError) else error
    if isinstance(error, FyeError):
        return _problem(type(error), str(error))
    kind = type(error).__name__
    log.error("request %s: unexpected %s at %s", x_request_id, kind, _where(error))
    detail = "unexpected server error; the server's log has it under this request's id"
    return Problem(
        type=TYPE_PREFIX + "internal", title="Internal error", status=SERVER_ERROR, detail=detail
    )


def _where(error: BaseException) -> str:
    """Return the stack of an error without its message, which may hold user text."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    return " < ".join(
        f"{frame.name} ({Path(frame.filename).name}:{frame.lineno})" for frame in frames
    )


def _problem(
    kind: type[FyeError], detail: str, errors: list[dict[str, str]] | None = None
) -> Problem:
    title = kind.type.replace("-", " ").capitalize()
    return Problem(
        type=TYPE_PREFIX + kind.type,
        title=title,
        status=kind.status,
        detail=detail,
        errors=errors or [],
    )


def respond_with(
    request: Request, problem: Problem, headers: dict[str, str] | None = None
) -> JSONResponse:
    """Return the response of a problem, in the shape that the request's path calls for."""
    if is_openai(request.url.path):
        status = OPENAI_STATUS.get(_slug(problem), problem.status)
        return JSONResponse(openai_error(problem), status, headers)
    return JSONResponse(
        problem.model_dump(), problem.status, headers, media_type="application/problem+json"
    )


def openai_error(problem: Problem) -> dict[str, dict[str, str | None]]:
    """Return the problem in OpenAI's shape. `param` is the first invalid field."""
    fields = [f"{error['field']}: {error['problem']}" for error in problem.errors]
    error = {
        "message": "; ".join([problem.detail, *fields]),
        "type": "invalid_request_error" if problem.status < SERVER_ERROR else "server_error",
        "param": problem.errors[0]["field"] if problem.errors else None,
        "code": OPENAI_CODES.get(_slug(problem), _slug(problem)),
    }
    return {"error": error}


def _slug(problem: Problem) -> str:
    return problem.type.removeprefix(TYPE_PREFIX)


def headers_of(error: BaseException) -> dict[str, str]:
    """Return the headers that belong to an error."""
    if isinstance(error, RetryLater):
        return {"retry-after": str(error.retry_after_s)}
    return {"www-authenticate": "Bearer"} if isinstance(error, Unauthenticated) else {}


async def _fye_error(request: Request, error: Exception) -> JSONResponse:
    problem = problem_of(error, request.state.request_id)
    return respond_with(request, problem, headers_of(error))


async def _validation_error(request: Request, error: Exception) -> JSONResponse:
    found: Sequence[Any] = error.errors() if isinstance(error, RequestValidationError) else []
    if any(row["type"] == "json_invalid" for row in found):
        return respond_with(request, _problem(InvalidJson, "the body is not valid JSON"))
    shown = found[:MAX_ERRORS]
    errors = [{"field": _field(row["loc"]), "problem": row["msg"]} for row in shown]
    kind = PromptTooLong if _is_too_long(request, found) else InvalidRequest
    return respond_with(request, _problem(kind, "the request is not valid", errors))


def _is_too_long(request: Request, errors: Sequence[Any]) -> bool:
    """Return whether OpenAI's clients would shorten the messages and try again."""
    return is_openai(request.url.path) and all(
        row["type"] == "string_too_long" and row["loc"][1] in {"messages", "input", "prompt"}
        for row in errors
    )


def _field(location: Iterable[str | int]) -> str:
    """Return the path of a field in the body, as `messages.0.content`."""
    _, *parts = location
    return ".".join(str(part) for part in parts if part not in UNION_TAGS) or "body"


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == BAD_REQUEST:  # FastAPI's own, for a body that cannot be decoded
        return respond_with(request, _problem(InvalidJson, "the body is not valid JSON"))
    slug = SLUGS.get(error.status_code, "http")
    is_unknown = error.status_code == NOT_FOUND and is_openai(request.url.path)
    problem = Problem(
        type=TYPE_PREFIX + slug,
        title=slug.replace("-", " ").capitalize(),
        status=error.status_code,
        detail=what_exists(request.url.path) if is_unknown else str(error.detail),
    )
    return respond_with(request, problem, dict(error.headers or {}))
