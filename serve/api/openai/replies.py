"""What OpenAI's paths answer, as the OpenAPI document describes it. `emotion` and `safety` are ours."""

from typing import Literal

from pydantic import BaseModel

from serve.api.schemas import EmotionOut, SafetyOut, Usage


class ChatUsage(Usage):
    total_tokens: int


class ChatAnswer(BaseModel):
    role: Literal["assistant"]
    content: str


class ChatChoice(BaseModel):
    index: Literal[0]
    finish_reason: Literal["stop", "length"]
    message: ChatAnswer


class ChatReply(BaseModel):
    """`system_fingerprint` is the version of the adapter that answered, None where the base model did."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage
    system_fingerprint: str | None
    emotion: EmotionOut | None
    safety: SafetyOut | None


class ModelOut(BaseModel):
    """`root` is what vLLM's tools read."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "face-your-emotions"
    root: str


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelOut]
