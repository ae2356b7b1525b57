"""Request bodies of chat completions and of legacy completions.

They say what is used, what has no effect, and what is rejected by name.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, Tag, ValidationInfo, field_validator

from serve.api.openai.fields import (
    NO_TOOLS,
    AnswerFields,
    Body,
    IgnoredFields,
    Tokens,
    ToolChoice,
    Tools,
    TopLogprobs,
    noop_only,
    not_supported,
)
from serve.api.openai.messages import ChatMessage
from serve.api.problem_details import LIST, STRING
from serve.api.schemas import ONE_OR_MANY, Text

ONE_ANSWER = "one answer per request is supported: n must be 1"


class StreamOptions(Body):
    """Options of a stream."""

    include_usage: bool = False
    continuous_usage_stats: bool = Field(
        default=False, description="vLLM's: with include_usage, every chunk has the usage so far"
    )
    include_obfuscation: Annotated[
        bool, noop_only(False, reason="obfuscation is not supported")
    ] = False

    @property
    def usage_so_far(self) -> bool:
        """Whether every chunk has the usage so far."""
        return self.include_usage and self.continuous_usage_stats


class ChatRequest(AnswerFields, IgnoredFields):
    """Body of `/v1/chat/completions`."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    stream_options: StreamOptions = StreamOptions()
    logprobs: bool = False
    top_logprobs: TopLogprobs = 0
    reasoning_effort: str | None = None
    store: Annotated[bool, noop_only(False, reason="answers are not stored")] = False
    n: Annotated[int, noop_only(1, reason=ONE_ANSWER)] = 1
    logit_bias: Annotated[dict[str, float], noop_only({}, reason="logit_bias is not supported")] = (
        Field(default={})
    )
    tool_choice: ToolChoice = None
    tools: Tools = Field(default=[])
    function_call: Annotated[Any, noop_only("none", "auto", reason=NO_TOOLS)] = None
    functions: Annotated[list[Any], noop_only([], reason=NO_TOOLS)] = Field(default=[])
    response_format: Annotated[
        Any, noop_only({"type": "text"}, reason="only plain text is supported")
    ] = None
    modalities: Annotated[Any, noop_only(["text"], reason="only text is supported")] = None

    @field_validator("top_logprobs")
    @classmethod
    def _check_top_logprobs(cls, top: int, info: ValidationInfo) -> int:
        if top and not info.data.get("logprobs"):
            raise not_supported("needs logprobs: true")
        return top

    def asked_tokens(self) -> int | None:
        """Return the token limit, under either of its names."""
        return self.max_completion_tokens or self.max_tokens

    def asked_logprobs(self) -> int | None:
        """Return how many likeliest tokens are reported."""
        return self.top_logprobs if self.logprobs else None


def _as_of_chat(given: Any) -> Any:
    """Return what the boolean of chat completions means: none, or the tokens alone."""
    if isinstance(given, bool):
        return 0 if given else None
    return given


OnePrompt = Annotated[Text, Tag(STRING)]
ManyPrompts = Annotated[list[Text], Field(min_length=1, max_length=1), Tag(LIST)]


class CompletionRequest(AnswerFields, IgnoredFields):
    """Body of `/v1/completions`. The prompt is a message of the user."""

    prompt: Annotated[OnePrompt | ManyPrompts, ONE_OR_MANY]
    max_tokens: Tokens | None = None
    stream_options: StreamOptions = StreamOptions()
    logprobs: Annotated[TopLogprobs | None, BeforeValidator(_as_of_chat)] = None
    n: Annotated[int, noop_only(1, reason=ONE_ANSWER)] = 1
    best_of: Annotated[int, noop_only(1, reason=ONE_ANSWER)] = 1
    echo: Annotated[bool, noop_only(False, reason="echo is not supported")] = False
    suffix: Annotated[str, noop_only("", reason="suffix is not supported")] = ""
    logit_bias: Annotated[dict[str, float], noop_only({}, reason="logit_bias is not supported")] = (
        Field(default={})
    )

    def text(self) -> str:
        """Return the prompt."""
        return self.prompt if isinstance(self.prompt, str) else self.prompt[0]

    def asked_tokens(self) -> int | None:
        """Return the token limit."""
        return self.max_tokens

    def asked_logprobs(self) -> int | None:
        """Return how many likeliest tokens are reported."""
        return self.logprobs
