"""What a request under OpenAI's path may hold: what is honoured, what asks for nothing here, and what is refused by name.

Null is as good as left out, as it is for OpenAI. What nobody knows is refused rather than ignored: mostly it is a misspelt name.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from models.generation import DEFAULT_MAX_TOKENS, DEFAULT_TEMPERATURE, DEFAULT_TOP_P, MAX_TOKENS_LIMIT
from serve.api.schemas import LIST, ONE_OR_MANY, STRING, Text
from serve.engine.protocol import Sampling
from serve.errors import InvalidRequest

NOTHING = object()
Stop = Annotated[str, Field(min_length=1, max_length=64)]
Tokens = Annotated[int, Field(ge=1, le=MAX_TOKENS_LIMIT)]


def _only(harmless: object, why: str) -> AfterValidator:
    """Takes the one value that asks for nothing. Any other would be answered with a lie, so `why` is what the client is told."""

    def check(value: Any) -> Any:
        if value != harmless:
            raise PydanticCustomError("not_here", "{why}", {"why": why})
        return value

    return AfterValidator(check)


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, given: Any) -> Any:
        return {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else given


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
    continuous_usage_stats: bool = Field(default=False, description="vLLM's: with include_usage, every chunk says the usage so far")
    include_obfuscation: Annotated[bool, _only(False, "chunks are not obfuscated here")] = False


class _Drawing(_Body):
    """How tokens are drawn: OpenAI's fields, and vLLM's, which load tools send."""

    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    min_tokens: int = Field(default=0, ge=0, le=MAX_TOKENS_LIMIT, description="vLLM's: the answer does not end before")
    ignore_eos: bool = Field(default=False, description="vLLM's: the answer ends at its token limit, or at a `stop`, and nowhere else")
    temperature: float = Field(default=DEFAULT_TEMPERATURE, ge=0, le=2)
    top_p: float = Field(default=DEFAULT_TOP_P, gt=0, le=1)
    top_k: int = Field(default=0, ge=-1, lt=2**31, description="vLLM's: 0 and -1 are all")
    min_p: float = Field(default=0, ge=0, le=1, description="vLLM's")
    frequency_penalty: float = Field(default=0, ge=-2, le=2)
    presence_penalty: float = Field(default=0, ge=-2, le=2)
    repetition_penalty: float = Field(default=1, gt=0, le=2, description="vLLM's")
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    stop: Annotated[Annotated[Stop, Tag(STRING)] | Annotated[list[Stop], Field(max_length=4), Tag(LIST)], ONE_OR_MANY] | None = None

    def sampling(self) -> Sampling:
        """The same for the engine. Raises InvalidRequest for more tokens at least than at most."""
        tokens = self.max_completion_tokens or self.max_tokens or DEFAULT_MAX_TOKENS
        if self.min_tokens > tokens:
            raise InvalidRequest(f"min_tokens: {self.min_tokens} are more than the {tokens} that the answer may have")
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        named_alike = self.model_dump(include={*Sampling.__dataclass_fields__} - {"max_tokens", "stop"})
        return Sampling(max_tokens=tokens, stop=stop, **named_alike)


class _Harmless(_Body):
    """What many tools send: names that mean nothing here, and fields of which one value alone can be taken at its word."""

    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    metadata: dict[str, str] = {}
    service_tier: Literal["auto", "default"] = "auto"
    parallel_tool_calls: bool = False
    store: Annotated[bool, _only(False, "no answer is stored here")] = False
    n: Annotated[int, _only(1, "a request gets one answer: n is 1")] = 1
    logprobs: Annotated[bool, _only(False, "log-probabilities are not given here")] = False
    top_logprobs: Annotated[int, _only(0, "log-probabilities are not given here")] = 0
    logit_bias: Annotated[dict[str, float], _only({}, "the tokens' chances cannot be changed one by one")] = {}
    tools: Annotated[Any, _only(NOTHING, "a persona calls no tools")] = None
    tool_choice: Annotated[Any, _only("none", "a persona calls no tools")] = None
    response_format: Annotated[Any, _only({"type": "text"}, "a persona answers in plain text, in no other format")] = None
    modalities: Annotated[Any, _only(["text"], "a persona answers in text")] = None


class ChatRequest(_Drawing, _Harmless):
    """What is understood of OpenAI's request. Anything else is refused rather than ignored."""

    model: str = "auto"
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=128)]
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
