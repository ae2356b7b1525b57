"""Response bodies of OpenAI's paths. `emotion` and `safety` are additions of this project."""

from typing import Literal

from pydantic import BaseModel, Field

from serve.api.schemas import EmotionOut, SafetyOut, Usage
from serve.engine.protocol import FinishReason


class ChatUsage(Usage):
    """Tokens read and written, and their sum."""

    total_tokens: int


class ChatAnswer(BaseModel):
    """Message of the assistant."""

    role: Literal["assistant"]
    content: str


class ChatChoice(BaseModel):
    """The only choice of a completion."""

    index: Literal[0]
    finish_reason: FinishReason
    message: ChatAnswer


class ChatReply(BaseModel):
    """A chat completion."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage
    system_fingerprint: str | None = Field(description="adapter version; null for the base model")
    emotion: EmotionOut | None
    safety: SafetyOut | None


class ModelOut(BaseModel):
    """A model: `auto`, a persona or `base`."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "face-your-emotions"
    root: str = Field(description="read by vLLM's tools")


class ModelList(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[ModelOut]
