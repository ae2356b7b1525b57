"""Request body of the Responses API."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, Tag

from serve.api.openai.fields import (
    AnswerFields,
    Body,
    IgnoredFields,
    Tokens,
    ToolChoice,
    Tools,
    TopLogprobs,
    noop_only,
)
from serve.api.openai.messages import ChatMessage
from serve.api.problem_details import LIST, STRING
from serve.api.schemas import ONE_OR_MANY, Encodable, Text

LOGPROBS = "message.output_text.logprobs"
NOT_STORED = "responses are not stored; send the whole conversation in input"


class TextOptions(Body):
    """Options of the text."""

    format: Annotated[Any, noop_only({"type": "text"}, reason="only plain text is supported")] = (
        None
    )
    verbosity: str | None = None


class InputItem(ChatMessage):
    """Message of the input."""

    type: Annotated[str, noop_only("message", reason="only messages are supported")] = "message"


def _without_reasoning(given: Any) -> Any:
    """Drop the reasoning of other models, which clients send back."""
    if not isinstance(given, list):
        return given
    return [item for item in given if not (isinstance(item, dict) and _is_reasoning(item))]


def _is_reasoning(item: dict[str, Any]) -> bool:
    return item.get("type") == "reasoning"


OneInput = Annotated[Text, Tag(STRING)]
ManyInputs = Annotated[
    list[InputItem], Field(min_length=1), BeforeValidator(_without_reasoning), Tag(LIST)
]


class ResponseRequest(AnswerFields, IgnoredFields):
    """Body of `/v1/responses`. `instructions` have no effect: the persona is the system."""

    input: Annotated[OneInput | ManyInputs, ONE_OR_MANY]
    instructions: Any = None
    max_output_tokens: Tokens | None = None
    metadata: dict[Encodable, Encodable] = Field(default={}, description="repeated in the response")
    include: list[str] = Field(default=[])
    top_logprobs: TopLogprobs | None = None
    store: bool = Field(default=False, description="accepted; responses are not stored")
    reasoning: Any = None
    text: TextOptions = TextOptions()
    truncation: str = "disabled"
    stream_options: dict[str, Any] = Field(default={})
    context_management: Any = None
    max_tool_calls: int | None = None
    tool_choice: ToolChoice = "auto"
    tools: Tools = Field(default=[])
    background: Annotated[bool, noop_only(False, reason="background is not supported")] = False
    previous_response_id: Annotated[Any, noop_only(reason=NOT_STORED)] = None
    conversation_: Annotated[Any, noop_only(reason=NOT_STORED)] = Field(
        default=None, alias="conversation"
    )
    prompt: Annotated[Any, noop_only(reason="stored prompts are not supported")] = None

    def conversation(self) -> Sequence[ChatMessage]:
        """Return the messages of the input."""
        if isinstance(self.input, str):
            return [ChatMessage(role="user", content=self.input)]
        return self.input

    def asked_tokens(self) -> int | None:
        """Return the token limit."""
        return self.max_output_tokens

    def asked_logprobs(self) -> int | None:
        """Return how many likeliest tokens are reported."""
        if LOGPROBS in self.include or self.top_logprobs:
            return self.top_logprobs or 0
        return None
