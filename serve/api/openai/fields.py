"""Fields that the request bodies of OpenAI's paths share.

Null is the same as absent, as it is for OpenAI. Unknown fields of a body are rejected, since most
of them are misspelt names.
"""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from models.generation import (
    DEFAULT_MAX_TOKENS,
    DEFAULT_TEMPERATURE,
    DEFAULT_TOP_P,
    MAX_TOKENS_LIMIT,
)
from serve.api.problem_details import LIST, STRING
from serve.api.requests import MAX_TOKENS
from serve.api.schemas import ONE_OR_MANY, Blend, Encodable, Intensity
from serve.engine.protocol import Sampling
from serve.errors import InvalidRequest
from serve.responder.mix import AS_TRAINED

RANDOM_SEED = -1  # as llama.cpp and others define it
UNLIMITED = -1
DEFAULT_MODEL = "auto"
NO_TOOLS = "tools are not supported"
Stop = Annotated[str, Field(min_length=1, max_length=64)]
OneStop = Annotated[Stop, Tag(STRING)]
ManyStops = Annotated[list[Stop], Field(max_length=4), Tag(LIST)]


def noop_only(*values: object, reason: str) -> AfterValidator:
    """Accept only the values without effect of a field; reject others with `reason`."""

    def check(given: Any) -> Any:
        if given not in values:
            raise not_supported(reason)
        return given

    return AfterValidator(check)


def not_supported(reason: str) -> PydanticCustomError:
    """Return the error of a value that is valid for OpenAI and not supported here."""
    return PydanticCustomError("not_supported", "{reason}", {"reason": reason})


def _check_tokens(given: int) -> int:
    if given == 0:
        raise ValueError("must be at least 1, or -1 for the largest answer")
    return given


def _check_tools(given: list[Any], info: ValidationInfo) -> list[Any]:
    if given and info.data.get("tool_choice") != "none":
        raise not_supported('tools are not supported unless tool_choice is "none"')
    return given


def _model(given: str) -> str:
    """Return the model of clients that send an empty name for the server's default."""
    return given or DEFAULT_MODEL


Tokens = Annotated[int, Field(ge=UNLIMITED, lt=2**63), AfterValidator(_check_tokens)]
# Fields of a body, the choice first: the check of the tools needs it.
ToolChoice = Annotated[Any, noop_only("none", "auto", reason=NO_TOOLS)]
Tools = Annotated[list[Any], AfterValidator(_check_tools)]
TopLogprobs = Annotated[int, Field(ge=0, le=5)]


class NullsAreAbsent(BaseModel):
    """Model whose null fields have their defaults."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value is not None}


class Body(NullsAreAbsent):
    """Request body."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AnswerFields(Body):
    """Sampling parameters of OpenAI, and those of vLLM that load generators send."""

    model: Annotated[str, AfterValidator(_model)] = DEFAULT_MODEL
    stream: bool = False
    min_tokens: int = Field(default=0, ge=0, le=MAX_TOKENS_LIMIT, description="vLLM's")
    ignore_eos: bool = Field(
        default=False, description="vLLM's: the answer ends only at max_tokens or at `stop`"
    )
    temperature: float = Field(default=DEFAULT_TEMPERATURE, ge=0, le=2)
    top_p: float = Field(default=DEFAULT_TOP_P, ge=0, le=1, description="0 is greedy")
    top_k: int = Field(default=0, ge=-1, lt=2**31, description="vLLM's: 0 and -1 are all")
    min_p: float = Field(default=0, ge=0, le=1, description="vLLM's")
    frequency_penalty: float = Field(default=0, ge=-2, le=2)
    presence_penalty: float = Field(default=0, ge=-2, le=2)
    repetition_penalty: float = Field(default=1, gt=0, le=2, description="vLLM's")
    seed: int | None = Field(default=None, ge=RANDOM_SEED, lt=2**63, description="-1 is random")
    stop: Annotated[OneStop | ManyStops, ONE_OR_MANY] | None = None
    user: Encodable | None = Field(default=None, description="decides who takes part in a trial")
    blend: Blend | None = None
    intensity: Intensity = AS_TRAINED

    def asked_tokens(self) -> int | None:
        """Return the token limit that the client names."""
        raise NotImplementedError

    def asked_logprobs(self) -> int | None:
        """Return how many likeliest tokens are reported; None for no log-probabilities."""
        raise NotImplementedError

    def sampling(self) -> Sampling:
        """Return the engine's parameters. Raises InvalidRequest if min_tokens is too large."""
        max_tokens = _capped(self.asked_tokens())
        if self.min_tokens > max_tokens:
            raise InvalidRequest(f"min_tokens {self.min_tokens} is larger than {max_tokens}")
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        fields = self.model_dump(include={*Sampling.__dataclass_fields__} - {"stop", "logprobs"})
        fields |= {"max_tokens": max_tokens, "stop": stop, "logprobs": self.asked_logprobs()}
        if self.seed == RANDOM_SEED:
            fields["seed"] = None
        if self.top_p == 0:
            fields |= {"temperature": 0, "top_p": 1}
        return Sampling(**fields)

    def notices(self) -> dict[str, str]:
        """Return headers that say how the request was changed."""
        asked = self.asked_tokens()
        used = _capped(asked)
        return {} if asked in {None, used} else {MAX_TOKENS: str(used)}


def _capped(asked: int | None) -> int:
    if asked is None:
        return DEFAULT_MAX_TOKENS
    return MAX_TOKENS_LIMIT if asked == UNLIMITED else min(asked, MAX_TOKENS_LIMIT)


class IgnoredFields(Body):
    """Fields without a meaning here, that many tools send to each of OpenAI's paths."""

    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    metadata: dict[str, Any] = {}
    service_tier: str | None = None
    parallel_tool_calls: bool = False
    verbosity: str | None = None
    chat_template_kwargs: dict[str, Any] = Field(default={}, description="vLLM's")
    skip_special_tokens: bool = Field(default=True, description="vLLM's")
