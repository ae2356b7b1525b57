"""Parts that all of OpenAI's paths use: model names, and fields of every reply."""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from models.prompt import Turn
from serve.api.choice import invalid_field, speaker_of
from serve.api.openai.fields import AnswerFields
from serve.api.requests import EMOTION
from serve.api.schemas import MAX_BLEND, emotion_out, safety_out, usage_of, written_out
from serve.errors import UnknownModel
from serve.pipeline.answer import Answer
from serve.pipeline.messages import Message, RequestContext
from serve.pipeline.replica import Responder
from serve.responder.mix import AS_TRAINED

NOT_PERSONAS = ("auto", "base")
PLUS = "+"  # between the personas of a blend


def model_names(personas: Iterable[str]) -> list[str]:
    """Return the names that `model` may have."""
    return ["auto", *personas, "base"]


async def blend_of(model: str, responder: Responder) -> dict[str, float]:
    """Return the shares of a name such as `joy+surprise`, empty for other names.

    Raises UnknownModel.
    """
    names = model.split(PLUS)
    if len(names) == 1:
        return {}
    if len(names) > MAX_BLEND:
        raise UnknownModel(f"{PLUS} joins at most {MAX_BLEND} personas")
    for name in names:
        if await persona_of(name, responder) is None:
            raise UnknownModel(f"{PLUS} joins personas only, as in joy{PLUS}surprise")
    return {name: float(count) for name, count in Counter(names).items()}


async def persona_of(model: str, responder: Responder) -> str | None:
    """Return the persona that a model's name selects, if any. Raises UnknownModel."""
    if model in NOT_PERSONAS:
        return None
    if not await responder.personas.has(model):
        known = ", ".join(model_names(responder.personas.known))
        raise UnknownModel(f"unknown model; known are {known}")
    return model


async def message_of(
    body: AnswerFields, turns: tuple[Turn, ...], context: RequestContext, responder: Responder
) -> Message:
    """Return the message to answer. Raises UnknownModel or InvalidRequest."""
    blend = await blend_of(body.model, responder)
    persona = None if blend else await persona_of(body.model, responder)
    if body.blend and body.model != "auto":
        raise invalid_field("blend", "needs model: auto, since a model's name chooses the persona")
    if body.intensity != AS_TRAINED and body.model == "base":
        raise invalid_field("intensity", "the base model has no intensity; choose another model")
    blend = blend or body.blend or {}
    return Message(
        context,
        turns,
        body.sampling(),
        await speaker_of(blend, responder) or persona,
        body.model == "base",
        blend,
        body.intensity,
        body.user,
    )


def head(answer: Answer, model: str, kind: str) -> dict[str, Any]:
    """Return the first fields of a completion and of its chunks."""
    request_id = answer.message.context.request_id
    return {"id": request_id, "object": kind, "created": int(time.time()), "model": model}


def usage(answer: Answer) -> dict[str, int]:
    """Return the tokens so far, and their sum."""
    total = answer.prompt_tokens + answer.completion_tokens
    return usage_of(answer).model_dump() | {"total_tokens": total}


def emotion(answer: Answer) -> dict[str, Any]:
    """Return the additional field `emotion`."""
    found = answer.emotion
    return {"emotion": emotion_out(found).model_dump(mode="json") if found else None}


def written(answer: Answer) -> dict[str, Any]:
    """Return the additional fields `blend`, `intensity` and `candidates`, as used."""
    return written_out(answer).model_dump()


def safety(answer: Answer) -> dict[str, Any]:
    """Return the additional fields `safety` and `complete`."""
    found = safety_out(answer)
    return {"safety": found.model_dump() if found else None, "complete": answer.complete}


def emotion_header(answer: Answer) -> dict[str, str]:
    """Return the header `x-emotion`, which the base model's answer does not have."""
    return {EMOTION: answer.emotion.label} if answer.emotion else {}
