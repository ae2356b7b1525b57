"""Request bodies of OpenAI's paths: what is used, what has no effect, and what is rejected by name.

Null is the same as absent, as it is for OpenAI. Unknown fields are rejected, since most of them
are misspelt names.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from models.generation import (
    DEFAULT_MAX_TOKENS,
    DEFAULT_TEMPERATURE,
    DEFAULT_TOP_P,
    MAX_TOKENS_LIMIT,
)
from serve.api.problem_details import LIST, STRING
from serve.api.schemas import ONE_OR_MANY, Text
from serve.engine.protocol import Sampling
from serve.errors import InvalidRequest

NOTHING = object()
NO_LOGPROBS = "log-probabilities are not supported"
NO_TOOLS = "tools are not supported"
Stop = Annotated[str, Field(min_length=1, max_length=64)]
OneStop = Annotated[Stop, Tag(STRING)]
ManyStops = Annotated[list[Stop], Field(max_length=4), Tag(LIST)]
Tokens = Annotated[int, Field(ge=1, le=MAX_TOKENS_LIMIT)]


def _noop_only(value: object, reason: str) -> AfterValidator:
    """Accept only the value without effect of an unsupported field; reject others with `reason`."""

    def check(given: Any) -> Any:
        if given != value:
            raise PydanticCustomError("not_supported", "{reason}", {"reason": reason})
        return given

    return AfterValidator(check)


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value is not None}


class TextPart(_Body):
    """Text part of a message."""

    type: Literal["text"]
    text: Text


OneContent = Annotated[Text, Tag(STRING)]
ManyParts = Annotated[list[TextPart], Field(min_length=1, max_length=16), Tag(LIST)]


class ChatMessage(_Body):
    """Message of a conversation. System messages have no effect: the persona is the system."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[OneContent | ManyParts, ONE_OR_MANY]
    name: str | None = None

    def text(self) -> str:
        """Return the text of all parts."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content)


class StreamOptions(_Body):
    """Options of a stream."""

    include_usage: bool = False
    continuous_usage_stats: bool = Field(
        default=False, description="vLLM's: with include_usage, every chunk has the usage so far"
    )
    include_obfuscation: Annotated[bool, _noop_only(False, "obfuscation is not supported")] = False


class _SamplingFields(_Body):
    """Sampling parameters of OpenAI, and those of vLLM that load generators send."""

    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    min_tokens: int = Field(default=0, ge=0, le=MAX_TOKENS_LIMIT, description="vLLM's")
    ignore_eos: bool = Field(
        default=False, description="vLLM's: the answer ends only at max_tokens or at `stop`"
    )
    temperature: float = Field(default=DEFAULT_TEMPERATURE, ge=0, le=2)
    top_p: float = Field(default=DEFAULT_TOP_P, gt=0, le=1)
    top_k: int = Field(default=0, ge=-1, lt=2**31, description="vLLM's: 0 and -1 are all")
    min_p: float = Field(default=0, ge=0, le=1, description="vLLM's")
    frequency_penalty: float = Field(default=0, ge=-2, le=2)
    presence_penalty: float = Field(default=0, ge=-2, le=2)
    repetition_penalty: float = Field(default=1, gt=0, le=2, description="vLLM's")
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    stop: Annotated[OneStop | ManyStops, ONE_OR_MANY] | None = None

    def sampling(self) -> Sampling:
        """Return the engine's parameters. Raises InvalidRequest if min_tokens is too large."""
        max_tokens = self.max_completion_tokens or self.max_tokens or DEFAULT_MAX_TOKENS
        if self.min_tokens > max_tokens:
            raise InvalidRequest(f"min_tokens {self.min_tokens} is larger than {max_tokens}")
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        same_names = {*Sampling.__dataclass_fields__} - {"max_tokens", "stop"}
        fields = self.model_dump(include=same_names)
        return Sampling(max_tokens=max_tokens, stop=stop, **fields)


class _NoopFields(_Body):
    """Fields that many tools send: without a meaning here, or with one accepted value."""

    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    metadata: dict[str, str] = {}
    service_tier: Literal["auto", "default"] = "auto"
    parallel_tool_calls: bool = False
    store: Annotated[bool, _noop_only(False, "answers are not stored")] = False
    n: Annotated[int, _noop_only(1, "one answer per request is supported: n must be 1")] = 1
    logprobs: Annotated[bool, _noop_only(False, NO_LOGPROBS)] = False
    top_logprobs: Annotated[int, _noop_only(0, NO_LOGPROBS)] = 0
    logit_bias: Annotated[dict[str, float], _noop_only({}, "logit_bias is not supported")] = {}
    tools: Annotated[Any, _noop_only(NOTHING, NO_TOOLS)] = None
    tool_choice: Annotated[Any, _noop_only("none", NO_TOOLS)] = None
    response_format: Annotated[
        Any, _noop_only({"type": "text"}, "only plain text is supported")
    ] = None
    modalities: Annotated[Any, _noop_only(["text"], "only text is supported")] = None


class ChatRequest(_SamplingFields, _NoopFields):
    """Body of `/v1/chat/completions`."""

    model: str = "auto"
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=128)]
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
