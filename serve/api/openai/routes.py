"""OpenAI's paths for the tools that people already use. The emotion travels in an extra `emotion` field.

Model `auto` detects the last user message; a persona's name chooses it; `base` is the bare base model. A system message is accepted,
since many tools send one, and not used: the persona is the system.
"""

import json
import time
import uuid
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from sse_starlette import EventSourceResponse

from models.prompt import Turn
from serve.api import problem_details
from serve.api.dependencies import AskedOf, TheIngress, ToRespond
from serve.api.openai.replies import ChatReply, ModelList, ModelOut
from serve.api.openai.requests import ChatRequest
from serve.api.schemas import Usage, emotion_out, safety_out
from serve.api.sse import STREAM, emotion_headers, stream_of
from serve.errors import InvalidRequest, UnknownModel
from serve.pipeline.ingress import Ingress
from serve.pipeline.messages import Detected, Event, Finished, Flagged, Message, Said
from serve.pipeline.respond import collect

router = APIRouter()


async def list_models(ingress: TheIngress) -> ModelList:
    """`auto`, the personas and `base`."""
    return ModelList(data=[ModelOut(id=name, root=name) for name in _models(await ingress.characters.everyone())])


async def retrieve_model(name: str, ingress: TheIngress) -> ModelOut:
    """One of them."""
    await _persona(name, ingress)
    return ModelOut(id=name, root=name)


@router.post("/v1/chat/completions", response_model=None, responses={200: {"model": ChatReply, **STREAM[200]}})
async def chat_completions(
    body: ChatRequest,
    request: Request,
    response: Response,
    asked: ToRespond,
    ingress: TheIngress,
) -> dict[str, Any] | EventSourceResponse:
    """Answers the last user message of a conversation, as OpenAI's API would."""
    message = await _message(body, asked, ingress)
    request.state.counted = True
    if body.stream:
        return await stream_of(ingress.answer(message), partial(_chunks, message, body))
    answer = await collect(ingress.answer(message))
    response.headers.update(emotion_headers(answer.detected))
    choice = {"index": 0, "finish_reason": answer.finished.finish_reason, "message": {"role": "assistant", "content": answer.text}}
    head = _head(message, body.model, "chat.completion") | {"choices": [choice], "usage": _usage(answer.finished)}
    head |= {"system_fingerprint": answer.finished.adapter}
    return head | _emotion(answer.detected) | _safety(answer.flagged)


def _models(personas: Iterable[str]) -> list[str]:
    return ["auto", *personas, "base"]


async def _persona(model: str, ingress: Ingress) -> str | None:
    """The one that a model's name asks for, if it asks for one. Raises UnknownModel."""
    if model in {"auto", "base"}:
        return None
    if not await ingress.characters.has(model):
        raise UnknownModel(f"there is no such model; there are {', '.join(_models(ingress.characters.known))}")
    return model


async def _message(body: ChatRequest, asked: AskedOf, ingress: Ingress) -> Message:
    persona = await _persona(body.model, ingress)
    turns = tuple(Turn("user" if m.role == "user" else "assistant", m.text()) for m in body.messages if m.role in {"user", "assistant"})
    if not turns or turns[-1].role != "user":
        raise InvalidRequest("the last message must be the user's")
    return Message(
        request_id=f"chatcmpl-{uuid.uuid4().hex}",
        turns=turns,
        sampling=body.sampling(),
        began_s=asked.began_s,
        deadline_s=asked.deadline_s,
        region=asked.region,
        key=asked.key,
        x_request_id=asked.x_request_id,
        trace=asked.trace,
        persona=persona,
        bare=body.model == "base",
    )


async def _chunks(message: Message, body: ChatRequest, answer: AsyncGenerator[Event]) -> AsyncGenerator[str]:
    """Chunks as the client expects them. The first one carries the emotion and no text; an error becomes an `error` object."""
    head, counted = _head(message, body.model, "chat.completion.chunk"), body.stream_options
    try:
        async with aclosing(answer) as events:
            if message.bare:
                yield _chunk(head, {"role": "assistant", "content": ""})
            async for event in events:
                if isinstance(event, Detected):
                    yield _chunk(head | _emotion(event), {"role": "assistant", "content": ""})
                elif isinstance(event, Flagged):
                    yield _chunk(head | _safety(event), {})
                elif isinstance(event, Said):
                    so_far = {"usage": _usage(event)} if counted.include_usage and counted.continuous_usage_stats else {}
                    yield _chunk(head | so_far, {"content": event.text})
                else:
                    yield _chunk(head | {"system_fingerprint": event.adapter}, {}, event.finish_reason)
                    if counted.include_usage:
                        yield json.dumps(head | {"choices": [], "usage": _usage(event)})
    except Exception as error:  # noqa: BLE001 (every error is reported, to the client and in the log)
        yield json.dumps(problem_details.openai_error(problem_details.problem_of(error, message.x_request_id)))
    yield "[DONE]"


def _head(message: Message, model: str, kind: str) -> dict[str, Any]:
    return {"id": message.request_id, "object": kind, "created": int(time.time()), "model": model}


def _chunk(head: dict[str, Any], delta: dict[str, str], finish_reason: str | None = None) -> str:
    return json.dumps(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}, ensure_ascii=False)


def _usage(event: Said | Finished) -> dict[str, int]:
    usage = Usage(prompt_tokens=event.prompt_tokens, completion_tokens=event.completion_tokens)
    return usage.model_dump() | {"total_tokens": usage.prompt_tokens + usage.completion_tokens}


def _emotion(detected: Detected | None) -> dict[str, Any]:
    return {"emotion": emotion_out(detected).model_dump(mode="json") if detected else None}


def _safety(flagged: Flagged | None) -> dict[str, Any]:
    return {"safety": safety_out(flagged).model_dump() if flagged else None}
