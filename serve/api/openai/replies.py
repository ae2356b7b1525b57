"""Response bodies of OpenAI's paths. `emotion`, `safety` and `complete` are our additions."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from serve.api.schemas import EmotionOut, SafetyOut, Usage, WrittenOut
from serve.engine.protocol import FinishReason

FINGERPRINT = "adapter version; null for the base model"
COMPLETE = "false if the conversation was too long to be read whole"


class ChatUsage(Usage):
    """Tokens read and written, and their sum."""

    total_tokens: int


class ChatAnswer(BaseModel):
    """Message of the assistant."""

    role: Literal["assistant"]
    content: str
    refusal: None


class TopLogprob(BaseModel):
    """A likely token."""

    token: str
    logprob: float
    bytes: list[int]


class Logprob(TopLogprob):
    """A token of the answer, and the likeliest tokens at its place."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(BaseModel):
    """Log-probabilities of the tokens of an answer."""

    content: list[Logprob]
    refusal: None


class ChatChoice(BaseModel):
    """The only choice of a chat completion."""

    index: Literal[0]
    finish_reason: FinishReason
    message: ChatAnswer
    logprobs: ChatLogprobs | None


class _Completion(WrittenOut):
    id: str
    created: int
    model: str
    usage: ChatUsage
    system_fingerprint: str | None = Field(description=FINGERPRINT)
    emotion: EmotionOut | None
    safety: SafetyOut | None
    complete: bool = Field(description=COMPLETE)


class ChatReply(_Completion):
    """A chat completion."""

    object: Literal["chat.completion"]
    choices: list[ChatChoice]


class CompletionLogprobs(BaseModel):
    """Log-probabilities of the tokens of a completion."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class CompletionChoice(BaseModel):
    """The only choice of a completion."""

    index: Literal[0]
    text: str
    finish_reason: FinishReason
    logprobs: CompletionLogprobs | None


class CompletionReply(_Completion):
    """A legacy completion."""

    object: Literal["text_completion"]
    choices: list[CompletionChoice]


class ResponseReply(WrittenOut):
    """A response of the Responses API; the fields that depend on the request."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["completed", "incomplete"]
    incomplete_details: dict[str, str] | None
    model: str
    output: list[dict[str, Any]]
    usage: dict[str, Any]
    emotion: EmotionOut | None
    safety: SafetyOut | None
    complete: bool = Field(description=COMPLETE)


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
