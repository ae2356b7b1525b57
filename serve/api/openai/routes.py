"""Routes of OpenAI's API, for the tools that people already use.

Model `auto` detects the emotion of the last user message, a persona's name selects the persona,
and `base` is the base model. The emotion is an additional field.
"""

from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response

from models.prompt import Turn
from serve.api.dependencies import (
    ChatContext,
    CompletionContext,
    RespondContext,
    ResponderDep,
)
from serve.api.openai.chat import ChunkWriter, chat_reply
from serve.api.openai.completions import CompletionWriter, completion_reply
from serve.api.openai.messages import conversation_of
from serve.api.openai.replies import (
    ChatReply,
    CompletionReply,
    ModelList,
    ModelOut,
    ResponseReply,
)
from serve.api.openai.requests import ChatRequest, CompletionRequest
from serve.api.openai.responses.events import ResponseWriter
from serve.api.openai.responses.reply import response_object
from serve.api.openai.responses.request import ResponseRequest
from serve.api.openai.shared import (
    blend_of,
    emotion_header,
    message_of,
    model_names,
    persona_of,
)
from serve.api.requests import CHAT_PATH, COMPLETIONS_PATH, MODELS_PATH, RESPONSES_PATH
from serve.api.sse import STREAM_RESPONSE, StreamingReply
from serve.pipeline.answer import Collector

router = APIRouter()
models_router = APIRouter()
Reply = dict[str, Any] | StreamingReply


def _documented(model: type) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": model, **STREAM_RESPONSE[200]}}


@models_router.get(MODELS_PATH)
async def list_models(responder: ResponderDep) -> ModelList:
    """Return `auto`, the personas and `base`."""
    names = model_names(await responder.personas.all())
    return ModelList(data=[ModelOut(id=name, root=name) for name in names])


@models_router.get(f"{MODELS_PATH}/{{name}}")
async def retrieve_model(name: str, responder: ResponderDep) -> ModelOut:
    """Return one of them."""
    if not await blend_of(name, responder):
        await persona_of(name, responder)
    return ModelOut(id=name, root=name)


@router.post(CHAT_PATH, response_model=None, responses=_documented(ChatReply))
async def chat_completions(
    body: ChatRequest,
    request: Request,
    response: Response,
    context: ChatContext,
    responder: ResponderDep,
) -> Reply:
    """Answer the last user message of a conversation."""
    conversation = conversation_of(body.messages)
    message = await message_of(body, conversation.turns, context, responder)
    notices = body.notices() | conversation.notices
    request.state.recorded = True
    if body.stream:
        writer = partial(ChunkWriter, body)
        return StreamingReply(partial(responder.answer, message), writer, notices)
    answer = await responder.answer(message, Collector())
    response.headers.update(notices | emotion_header(answer))
    return chat_reply(answer, body)


@router.post(COMPLETIONS_PATH, response_model=None, responses=_documented(CompletionReply))
async def completions(
    body: CompletionRequest,
    request: Request,
    response: Response,
    context: CompletionContext,
    responder: ResponderDep,
) -> Reply:
    """Answer a prompt, as OpenAI's API did before chat."""
    message = await message_of(body, (Turn("user", body.text()),), context, responder)
    request.state.recorded = True
    if body.stream:
        writer = partial(CompletionWriter, body)
        return StreamingReply(partial(responder.answer, message), writer, body.notices())
    answer = await responder.answer(message, Collector())
    response.headers.update(body.notices() | emotion_header(answer))
    return completion_reply(answer, body)


@router.post(RESPONSES_PATH, response_model=None, responses=_documented(ResponseReply))
async def responses(
    body: ResponseRequest,
    request: Request,
    response: Response,
    context: RespondContext,
    responder: ResponderDep,
) -> Reply:
    """Answer the last user message of the input. Responses are not stored."""
    conversation = conversation_of(body.conversation())
    message = await message_of(body, conversation.turns, context, responder)
    notices = body.notices() | conversation.notices
    request.state.recorded = True
    if body.stream:
        writer = partial(ResponseWriter, body)
        return StreamingReply(partial(responder.answer, message), writer, notices)
    answer = await responder.answer(message, Collector())
    response.headers.update(notices | emotion_header(answer))
    return response_object(answer, body)
