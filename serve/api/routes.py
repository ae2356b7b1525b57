"""Routes of the project's own API."""

import json
from functools import partial
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from models.prompt import Turn
from serve.api.choice import invalid_field, speaker_of
from serve.api.dependencies import DetectContext, RespondContext, ResponderDep, require_json
from serve.api.problem_details import Problem
from serve.api.requests import DETECT_PATH, EMOTION, PERSONAS_PATH, RESPOND_PATH
from serve.api.schemas import (
    DetectReply,
    DetectRequest,
    PersonaOut,
    RespondReply,
    RespondRequest,
    detected_out,
    done_out,
    emotion_out,
    safety_out,
)
from serve.api.sse import STREAM_RESPONSE, EventStream, StreamingReply
from serve.engine.protocol import Sampling
from serve.pipeline.answer import Answer, Collector
from serve.pipeline.messages import Message, RequestContext
from serve.pipeline.replica import Responder

router = APIRouter()
JSON_BODY = [Depends(require_json)]


@router.post(
    RESPOND_PATH, response_model=RespondReply, responses=STREAM_RESPONSE, dependencies=JSON_BODY
)
async def respond(
    body: RespondRequest,
    request: Request,
    response: Response,
    context: RespondContext,
    responder: ResponderDep,
) -> Any:
    """Detect the emotion of a text and answer as it."""
    message = await _message(body, context, responder)
    request.state.recorded = True
    if body.stream:
        return StreamingReply(partial(responder.answer, message), RespondWriter)
    answer = await responder.answer(message, Collector())
    done = done_out(answer)
    response.headers[EMOTION] = done.emotion.label
    return RespondReply(text=answer.text, **done.model_dump())


@router.post(DETECT_PATH, dependencies=JSON_BODY)
async def detect(
    body: DetectRequest, request: Request, context: DetectContext, responder: ResponderDep
) -> DetectReply:
    """Return scores of the six emotions, for one text or up to 256."""
    texts = [body.text] if isinstance(body.text, str) else body.text
    request.state.recorded = True
    detections = await responder.detect(texts, context)
    results = [detected_out(detection) for detection in detections]
    return DetectReply(model=detections[0].model, results=results)


@router.get(PERSONAS_PATH)
async def list_personas(responder: ResponderDep) -> list[PersonaOut]:
    """Return the personas: the built-in ones, and those that were added."""
    personas = (await responder.personas.all()).values()
    return [PersonaOut.model_validate(one.model_dump(exclude={"instruction"})) for one in personas]


async def _message(body: RespondRequest, context: RequestContext, responder: Responder) -> Message:
    persona = None if body.emotion == "auto" else body.emotion
    if persona is not None and not await responder.personas.has(persona):
        known = ", ".join(("auto", *responder.personas.known))
        raise invalid_field("emotion", f"unknown persona; known are {known}")
    if body.blend and persona:
        raise invalid_field("blend", "give either emotion or blend, not both")
    speaker = await speaker_of(body.blend, responder)
    return Message(
        context=context,
        turns=(Turn("user", body.text),),
        sampling=Sampling(body.max_tokens, body.temperature, body.top_p, body.seed),
        persona=speaker or persona,
        blend=body.blend or {},
        intensity=body.intensity,
    )


class RespondWriter:
    """Writer of the events of `/v1/respond`."""

    def __init__(self, stream: EventStream) -> None:
        """Write to `stream`."""
        self._stream = stream

    async def emotion(self, answer: Answer) -> None:
        """Start the stream with the emotion."""
        assert answer.emotion is not None  # noqa: S101 (only OpenAI's paths know the base model)
        await self._stream.start(answer)
        await self._send("emotion", emotion_out(answer.emotion))

    async def safety(self, answer: Answer) -> None:
        """Write what the safety check found."""
        safety = safety_out(answer)
        assert safety is not None  # noqa: S101
        await self._send("safety", safety)

    async def text(self, answer: Answer, text: str) -> None:
        """Write a part of the text."""
        await self._stream.send(json.dumps({"text": text}, ensure_ascii=False), "delta")

    async def done(self, answer: Answer) -> None:
        """Write everything else."""
        await self._send("done", done_out(answer))

    async def error(self, problem: Problem) -> None:
        """Write an error that ends the stream."""
        await self._send("error", problem)

    async def _send(self, event: str, data: BaseModel) -> None:
        await self._stream.send(data.model_dump_json(), event)
