"""Messages of a conversation: what people's tools keep in a history and send back.

Only text of the user and the assistant has an effect. Other fields of a message are ignored, since
every tool keeps its own there: `annotations`, `reasoning_content`, `refusal`, `cache_control`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, Tag, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from models.prompt import Turn
from serve.api.openai.fields import NO_TOOLS, NullsAreAbsent, noop_only, not_supported
from serve.api.problem_details import LIST, STRING
from serve.api.requests import DROPPED_MESSAGES
from serve.api.schemas import MAX_TEXT_CHARACTERS, ONE_OR_MANY, check_text
from serve.errors import InvalidRequest

MAX_MESSAGES = 128  # of a history; older ones are dropped
TEXT_PARTS = ("text", "input_text", "output_text", "refusal")


def _check_part(kind: str) -> str:
    if kind not in TEXT_PARTS:
        raise not_supported("only text is supported")
    return kind


class TextPart(NullsAreAbsent):
    """Text part of a message."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Annotated[str, AfterValidator(_check_part)] = "text"
    text: str = ""


OneContent = Annotated[str, Tag(STRING)]
ManyParts = Annotated[list[TextPart], Field(max_length=16), Tag(LIST)]
Content = Annotated[OneContent | ManyParts, ONE_OR_MANY]


class ChatMessage(NullsAreAbsent):
    """Message of a conversation. System messages have no effect: the persona is the system."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: Content = Field(default="", validate_default=True)
    tool_calls: Annotated[list[Any], noop_only([], reason=NO_TOOLS)] = Field(default=[])
    function_call: Annotated[Any, noop_only(reason=NO_TOOLS)] = None

    @field_validator("content")
    @classmethod
    def _check_content(cls, content: Content, info: ValidationInfo) -> Content:
        role = info.data.get("role")
        text = text_of(content)
        if role in {"user", "assistant"} and len(text) > MAX_TEXT_CHARACTERS:
            limit = {"max_length": MAX_TEXT_CHARACTERS}
            raise PydanticCustomError(
                "string_too_long", "String should have at most {max_length} characters", limit
            )
        # An assistant's answer may be empty: a stopped one, or one of tools alone.
        if role == "user" or (role == "assistant" and text.strip()):
            check_text(text)
        return content


def text_of(content: Content) -> str:
    """Return the text of all parts."""
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content if part.text)


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns to answer, and headers that say how the history was changed."""

    turns: tuple[Turn, ...]
    notices: dict[str, str]


def conversation_of(messages: Sequence[ChatMessage]) -> Conversation:
    """Return the last turns of a history.

    Raises:
        InvalidRequest: the last turn is not the user's.
    """
    dropped = max(len(messages) - MAX_MESSAGES, 0)
    turns = tuple(
        Turn("user" if message.role == "user" else "assistant", text_of(message.content))
        for message in messages[dropped:]
        if message.role in {"user", "assistant"} and text_of(message.content).strip()
    )
    if not turns or turns[-1].role != "user":
        raise InvalidRequest("the last message must have the role user")
    return Conversation(turns, {DROPPED_MESSAGES: str(dropped)} if dropped else {})
