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
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, Tag
from sse_starlette import EventSourceResponse

from models.prompt import Turn
from serve import problems
from serve.dependencies import AskedOf, TheIngress, ToRespond
from serve.engine import Sampling
from serve.errors import InvalidRequest, UnknownModel
from serve.events import Detected, Event, Finished, Flagged, Message, Said
from serve.ingress import Ingress
from serve.pipeline import collect
from serve.schema import LIST, ONE_OR_MANY, STRING, Text, Usage, emotion_out, safety_out
from serve.streams import emotion_headers, stream_of

router = APIRouter()
Stop = Annotated[str, Field(min_length=1, max_length=64)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TextPart(_Body):
    type: Literal["text"]
    text: Text


class ChatMessage(_Body):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[Annotated[Text, Tag(STRING)] | Annotated[list[TextPart], Field(min_length=1, max_length=16), Tag(LIST)], ONE_OR_MANY]
    name: str | None = None

    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)


class StreamOptions(_Body):
    include_usage: bool = False


class ChatRequest(_Body):
    """What is understood of OpenAI's request. Anything else is refused rather than ignored."""

    model: str = "auto"
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=128)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=256)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=256)
    temperature: float = Field(default=0.7, ge=0, le=2)
    top_p: float = Field(default=0.8, gt=0, le=1)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    stop: Annotated[Annotated[Stop, Tag(STRING)] | Annotated[list[Stop], Field(max_length=4), Tag(LIST)], ONE_OR_MANY] | None = None
    n: Literal[1] = 1
    user: str | None = None


async def list_models(ingress: TheIngress) -> dict[str, Any]:
    """`auto`, the personas and `base`."""
    models = _models(await ingress.characters.everyone())
    return {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "face-your-emotions"} for name in models]}


@router.post("/v1/chat/completions", response_model=None)
async def chat_completions(
    body: ChatRequest,
    request: Request,
    response: Response,
    asked: ToRespond,
    ingress: TheIngress,
) -> dict[str, Any] | EventSourceResponse:
    """Answers the last user message of a conversation, as OpenAI's API would."""
    message = await _message(body, asked, ingress)
    if body.stream:
        usage = body.stream_options is not None and body.stream_options.include_usage
        return await stream_of(request, ingress.answer(message), partial(_chunks, message, body.model, usage))
    answer = await collect(ingress.answer(message))
    response.headers.update(emotion_headers(answer.detected))
    choice = {"index": 0, "finish_reason": answer.finished.finish_reason, "message": {"role": "assistant", "content": answer.text}}
    head = _head(message, body.model, "chat.completion") | {"choices": [choice], "usage": _usage(answer.finished)}
    head |= {"system_fingerprint": answer.finished.adapter}
    return head | _emotion(answer.detected) | _safety(answer.flagged)


def _models(personas: Iterable[str]) -> list[str]:
    return ["auto", *personas, "base"]


async def _message(body: ChatRequest, asked: AskedOf, ingress: Ingress) -> Message:
    persona = None if body.model in {"auto", "base"} else body.model
    if persona is not None and not await ingress.characters.has(persona):
        raise UnknownModel(f"there is no such model; there are {', '.join(_models(ingress.characters.known))}")
    turns = tuple(Turn("user" if m.role == "user" else "assistant", m.text()) for m in body.messages if m.role in {"user", "assistant"})
    if not turns or turns[-1].role != "user":
        raise InvalidRequest("the last message must be the user's")
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    tokens = body.max_completion_tokens or body.max_tokens or 96
    return Message(
        request_id=f"chatcmpl-{uuid.uuid4().hex}",
        turns=turns,
        sampling=Sampling(tokens, body.temperature, body.top_p, body.seed, stop),
        began_s=asked.began_s,
        deadline_s=asked.deadline_s,
        region=asked.region,
        key=asked.key,
        persona=persona,
        bare=body.model == "base",
    )


async def _chunks(message: Message, model: str, include_usage: bool, answer: AsyncGenerator[Event]) -> AsyncGenerator[str]:
    """Chunks as the client expects them. The first one carries the emotion and no text; an error becomes an `error` object."""
    head = _head(message, model, "chat.completion.chunk")
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
                    yield _chunk(head, {"content": event.text})
                else:
                    yield _chunk(head | {"system_fingerprint": event.adapter}, {}, event.finish_reason)
                    if include_usage:
                        yield json.dumps(head | {"choices": [], "usage": _usage(event)})
    except Exception as error:  # noqa: BLE001 (every error is reported, to the client and in the log)
        yield json.dumps(problems.openai_error(problems.problem_of(error)))
    yield "[DONE]"


def _head(message: Message, model: str, kind: str) -> dict[str, Any]:
    return {"id": message.request_id, "object": kind, "created": int(time.time()), "model": model}


def _chunk(head: dict[str, Any], delta: dict[str, str], finish_reason: str | None = None) -> str:
    return json.dumps(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}, ensure_ascii=False)


def _usage(finished: Finished) -> dict[str, int]:
    usage = Usage(prompt_tokens=finished.prompt_tokens, completion_tokens=finished.completion_tokens)
    return usage.model_dump() | {"total_tokens": usage.prompt_tokens + usage.completion_tokens}


def _emotion(detected: Detected | None) -> dict[str, Any]:
    return {"emotion": emotion_out(detected).model_dump(mode="json") if detected else None}


def _safety(flagged: Flagged | None) -> dict[str, Any]:
    return {"safety": safety_out(flagged).model_dump() if flagged else None}
