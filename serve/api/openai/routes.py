"""Routes of OpenAI's API, for the tools that people already use.

Model `auto` detects the emotion of the last user message, a persona's name selects the persona,
and `base` is the base model. The emotion is an additional field.
"""

import json
import time
from collections.abc import Iterable
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response

from models.prompt import Turn
from serve.api.dependencies import ChatContext, ResponderDep
from serve.api.openai.replies import ChatReply, ModelList, ModelOut
from serve.api.openai.requests import ChatRequest
from serve.api.problem_details import Problem, openai_error
from serve.api.requests import CHAT_PATH, EMOTION, MODELS_PATH
from serve.api.schemas import emotion_out, safety_out, usage_of
from serve.api.sse import STREAM_RESPONSE, EventStream, StreamingReply
from serve.errors import InvalidRequest, UnknownModel
from serve.pipeline.answer import Answer, Collector
from serve.pipeline.messages import Message, RequestContext
from serve.pipeline.replica import Responder

router = APIRouter()
models_router = APIRouter()
CHAT_RESPONSE: dict[int | str, dict[str, Any]] = {200: {"model": ChatReply, **STREAM_RESPONSE[200]}}


@models_router.get(MODELS_PATH)
async def list_models(responder: ResponderDep) -> ModelList:
    """Return `auto`, the personas and `base`."""
    names = _model_names(await responder.personas.all())
    return ModelList(data=[ModelOut(id=name, root=name) for name in names])


@models_router.get(f"{MODELS_PATH}/{{name}}")
async def retrieve_model(name: str, responder: ResponderDep) -> ModelOut:
    """Return one of them."""
    await _persona(name, responder)
    return ModelOut(id=name, root=name)


@router.post(CHAT_PATH, response_model=None, responses=CHAT_RESPONSE)
async def chat_completions(
    body: ChatRequest,
    request: Request,
    response: Response,
    context: ChatContext,
    responder: ResponderDep,
) -> dict[str, Any] | StreamingReply:
    """Answer the last user message of a conversation."""
    message = await _message(body, context, responder)
    request.state.recorded = True
    if body.stream:
        return StreamingReply(partial(responder.answer, message), partial(ChunkWriter, body))
    answer = await responder.answer(message, Collector())
    if answer.emotion:
        response.headers[EMOTION] = answer.emotion.label
    return _completion(answer, body.model)


def _model_names(personas: Iterable[str]) -> list[str]:
    return ["auto", *personas, "base"]


async def _persona(model: str, responder: Responder) -> str | None:
    """Return the persona that a model's name selects, if any. Raises UnknownModel."""
    if model in {"auto", "base"}:
        return None
    if not await responder.personas.has(model):
        known = ", ".join(_model_names(responder.personas.known))
        raise UnknownModel(f"unknown model; known are {known}")
    return model


async def _message(body: ChatRequest, context: RequestContext, responder: Responder) -> Message:
    persona = await _persona(body.model, responder)
    turns = tuple(
        Turn("user" if message.role == "user" else "assistant", message.text())
        for message in body.messages
        if message.role in {"user", "assistant"}
    )
    if not turns or turns[-1].role != "user":
        raise InvalidRequest("the last message must have the role user")
    bare = body.model == "base"
    return Message(context, turns, body.sampling(), persona, bare)


def _completion(answer: Answer, model: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer.text}
    choice = {"index": 0, "finish_reason": answer.finish_reason, "message": message}
    return {
        **_head(answer, model, "chat.completion"),
        "choices": [choice],
        "usage": _usage(answer),
        "system_fingerprint": answer.adapter,
        **_emotion(answer),
        **_safety(answer),
    }


class ChunkWriter:
    """Writer of chat completion chunks. The first one has the emotion and no text."""

    def __init__(self, body: ChatRequest, stream: EventStream) -> None:
        """Write to `stream` what `body` asks for."""
        self._stream = stream
        self._model = body.model
        options = body.stream_options
        self._usage = options.include_usage
        self._usage_so_far = options.include_usage and options.continuous_usage_stats
        self._head: dict[str, Any] = {}

    async def emotion(self, answer: Answer) -> None:
        """Start the stream with the emotion."""
        self._head = _head(answer, self._model, "chat.completion.chunk")
        await self._stream.start(answer)
        extra = {} if answer.message.bare else _emotion(answer)
        await self._chunk({"role": "assistant", "content": ""}, extra=extra)

    async def safety(self, answer: Answer) -> None:
        """Write why no persona answers."""
        await self._chunk({}, extra=_safety(answer))

    async def text(self, answer: Answer, text: str) -> None:
        """Write a part of the text."""
        usage = {"usage": _usage(answer)} if self._usage_so_far else {}
        await self._chunk({"content": text}, extra=usage)

    async def done(self, answer: Answer) -> None:
        """Write the finish reason, the usage if asked for, and the end."""
        await self._chunk({}, answer.finish_reason, {"system_fingerprint": answer.adapter})
        if self._usage:
            await self._stream.send(
                json.dumps(self._head | {"choices": [], "usage": _usage(answer)})
            )
        await self._stream.send("[DONE]")

    async def error(self, problem: Problem) -> None:
        """Write an error and the end."""
        await self._stream.send(json.dumps(openai_error(problem)))
        await self._stream.send("[DONE]")

    async def _chunk(
        self,
        delta: dict[str, str],
        finish_reason: str | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        chunk = self._head | (extra or {}) | {"choices": [choice]}
        await self._stream.send(json.dumps(chunk, ensure_ascii=False))


def _head(answer: Answer, model: str, kind: str) -> dict[str, Any]:
    request_id = answer.message.context.request_id
    return {"id": request_id, "object": kind, "created": int(time.time()), "model": model}


def _usage(answer: Answer) -> dict[str, int]:
    usage = usage_of(answer).model_dump()
    return usage | {"total_tokens": answer.prompt_tokens + answer.completion_tokens}


def _emotion(answer: Answer) -> dict[str, Any]:
    emotion = answer.emotion
    return {"emotion": emotion_out(emotion).model_dump(mode="json") if emotion else None}


def _safety(answer: Answer) -> dict[str, Any]:
    safety = safety_out(answer)
    return {"safety": safety.model_dump() if safety else None}
