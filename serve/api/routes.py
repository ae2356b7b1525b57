"""The HTTP API: `/v1/respond`, `/v1/detect`, `/v1/personas`, health, and OpenAI's paths (in `serve.api.openai.routes`)."""

import json
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from sse_starlette import ServerSentEvent

from models.prompt import Turn
from serve.api import admin_routes, problem_details
from serve.api.auth import KeyRing
from serve.api.cors import with_cors
from serve.api.dependencies import AskedOf, TheIngress, ToDetect, ToRespond, require_json
from serve.api.middleware import Edge
from serve.api.openai import routes
from serve.api.schemas import (
    DetectReply,
    DetectRequest,
    OpenAIProblem,
    PersonaOut,
    Problem,
    RespondReply,
    RespondRequest,
    detected_out,
    done_out,
    emotion_out,
    safety_out,
)
from serve.api.sse import STREAM, emotion_headers, stream_of
from serve.config import IngressConfig
from serve.engine.protocol import Sampling
from serve.errors import EngineError
from serve.pipeline.ingress import Ingress
from serve.pipeline.messages import Detected, Event, Flagged, Message, Said, Texts
from serve.pipeline.respond import collect

STATUSES = (400, 401, 403, 408, 413, 415, 422, 429, 500, 502, 503, 504)
PROBLEMS: dict[int | str, dict[str, Any]] = {status: {"model": Problem, "content": {"application/problem+json": {}}} for status in STATUSES}
OPENAI_PROBLEMS: dict[int | str, dict[str, Any]] = {status: {"model": OpenAIProblem} for status in (*STATUSES, 404)}


def make_http_app(limits: IngressConfig, keys: KeyRing | None, on_loopback: bool) -> FastAPI:
    """Made inside each replica, since a FastAPI application does not travel well between processes."""
    app = FastAPI(title="Face Your Emotions", version="1", redoc_url=None)
    app.state.limits, app.state.keys, app.state.on_loopback = limits, keys, on_loopback
    app.add_middleware(Edge, limits=limits)
    app.add_middleware(with_cors, limits=limits)  # outside the edge: a page may read what it refuses, too
    problem_details.install(app)
    app.include_router(routes.router, responses=OPENAI_PROBLEMS, dependencies=[Depends(require_json)])
    app.include_router(admin_routes.router, responses=PROBLEMS)
    app.post("/v1/respond", response_model=RespondReply, responses=PROBLEMS | STREAM, dependencies=[Depends(require_json)])(respond)
    app.post("/v1/detect", response_model=DetectReply, responses=PROBLEMS, dependencies=[Depends(require_json)])(detect)
    app.get("/v1/personas", response_model=list[PersonaOut])(list_personas)
    app.get("/v1/models")(routes.list_models)
    app.get("/v1/models/{name}", responses={404: OPENAI_PROBLEMS[404]})(routes.retrieve_model)
    app.get("/healthz")(alive)
    app.get("/health", include_in_schema=False)(alive)  # where tools that know vLLM look
    app.get("/readyz", responses={503: PROBLEMS[503]})(ready)
    return app


async def respond(body: RespondRequest, request: Request, response: Response, asked: ToRespond, ingress: TheIngress) -> Any:
    """Detects the emotion behind a text and answers as it."""
    message = await _message(body, asked, ingress)
    request.state.counted = True
    if body.stream:
        return await stream_of(ingress.answer(message), partial(_events, message))
    answer = await collect(ingress.answer(message))
    if answer.detected is None:
        raise EngineError("the answer came without its emotion")
    response.headers.update(emotion_headers(answer.detected))
    return RespondReply(text=answer.text, **done_out(message.request_id, answer.detected, answer.flagged, answer.finished).model_dump())


async def detect(body: DetectRequest, request: Request, asked: ToDetect, ingress: TheIngress) -> DetectReply:
    """Scores of the six emotions, for one text or for up to 256."""
    texts = (body.text,) if isinstance(body.text, str) else tuple(body.text)
    request.state.counted = True
    readings = await ingress.detect(
        Texts(f"detect-{uuid.uuid4().hex}", texts, asked.began_s, asked.deadline_s, asked.key, asked.x_request_id, asked.trace)
    )
    return DetectReply(model=readings[0].reader, results=[detected_out(reading) for reading in readings])


async def list_personas(ingress: TheIngress) -> list[PersonaOut]:
    """The characters: the six, and those that were added since."""
    characters = (await ingress.characters.everyone()).values()
    return [PersonaOut.model_validate(character.model_dump(exclude={"instruction"})) for character in characters]


async def alive() -> dict[str, str]:
    """This process runs."""
    return {"status": "alive"}


async def ready(ingress: TheIngress) -> dict[str, str]:
    """Every stage has answered once."""
    await ingress.probe()
    return {"status": "ready"}


async def _message(body: RespondRequest, asked: AskedOf, ingress: Ingress) -> Message:
    persona = None if body.emotion == "auto" else body.emotion
    if persona is not None and not await ingress.characters.has(persona):
        problem = f"there is no such persona; there are auto, {', '.join(ingress.characters.known)}"
        raise RequestValidationError([{"type": "persona", "loc": ("body", "emotion"), "msg": problem}])
    return Message(
        request_id=f"resp-{uuid.uuid4().hex}",
        turns=(Turn("user", body.text),),
        sampling=Sampling(body.max_tokens, body.temperature, body.top_p, body.seed),
        began_s=asked.began_s,
        deadline_s=asked.deadline_s,
        region=asked.region,
        key=asked.key,
        x_request_id=asked.x_request_id,
        trace=asked.trace,
        persona=persona,
    )


async def _events(message: Message, answer: AsyncGenerator[Event]) -> AsyncGenerator[ServerSentEvent]:
    """The stream of `/v1/respond`. An error after the first event becomes an `error` event: never a silent cut."""
    detected, flagged = None, None
    try:
        async with aclosing(answer) as events:
            async for event in events:
                if isinstance(event, Detected):
                    detected = event
                    yield _sse("emotion", emotion_out(event))
                elif isinstance(event, Flagged):
                    flagged = event
                    yield _sse("safety", safety_out(event))
                elif isinstance(event, Said):
                    yield ServerSentEvent(event="delta", data=json.dumps({"text": event.text}, ensure_ascii=False))
                elif detected is not None:
                    yield _sse("done", done_out(message.request_id, detected, flagged, event))
    except Exception as error:  # noqa: BLE001 (every error is reported, to the client and in the log)
        yield _sse("error", problem_details.problem_of(error, message.x_request_id))


def _sse(event: str, data: BaseModel) -> ServerSentEvent:
    return ServerSentEvent(event=event, data=data.model_dump_json())
