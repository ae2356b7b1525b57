"""The API's own requests and replies, as pydantic models: they validate, and they are the OpenAPI document."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from models.detector.harm import Category
from models.emotions import Emotion
from models.generation import DEFAULT_MAX_TOKENS, DEFAULT_TEMPERATURE, DEFAULT_TOP_P, MAX_TOKENS_LIMIT
from serve.config import MAX_TEXTS
from serve.detector.replica import Detection
from serve.pipeline.messages import Detected, Finished, Flagged
from serve.pipeline.respond import to_detected

MAX_TEXT = 4000
STRING, LIST = UNION_TAGS = ("(string)", "(list)")  # the two members of a union; no part of a field's path


def _readable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain NUL")
    if not text.strip():
        raise ValueError("must not be empty or only white space")
    return text


def _member(value: object) -> str:
    return LIST if isinstance(value, list) else STRING


Text = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_readable)]
ONE_OR_MANY = Discriminator(_member)  # so that an error is about the member that was meant, not about both


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class RespondRequest(_Strict):
    text: Text = Field(examples=["The weather is perfect today! It's been months since I last felt this cool air!"])
    emotion: str = Field(default="auto", pattern="^[a-z]{2,32}$", description="`auto`, one of the six, or any other persona that answers")
    stream: bool = False
    max_tokens: int = Field(default=DEFAULT_MAX_TOKENS, ge=1, le=MAX_TOKENS_LIMIT)
    temperature: float = Field(default=DEFAULT_TEMPERATURE, ge=0, le=2)
    top_p: float = Field(default=DEFAULT_TOP_P, gt=0, le=1)
    seed: int | None = Field(default=None, ge=0, lt=2**63)


class DetectRequest(_Strict):
    text: Annotated[Annotated[Text, Tag(STRING)] | Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS), Tag(LIST)], ONE_OR_MANY]


class EmotionOut(BaseModel):
    label: Emotion
    score: float
    scores: dict[Emotion, float]


class DetectedOut(EmotionOut):
    """`harm` is what the text speaks of, and why no persona would answer it."""

    harm: Category | None


class DetectReply(BaseModel):
    model: str
    results: list[DetectedOut]


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int


class Timings(BaseModel):
    """How long each part took; together they are the total, which counts from the request's first byte."""

    queue: float
    detect: float
    first_token: float
    generate: float
    total: float


class SafetyOut(BaseModel):
    """Why a message was not amplified, and what was done instead."""

    category: Category
    action: Literal["calm-answer"]


class DoneOut(BaseModel):
    """Everything of a reply that is not text: the `done` event of a stream. Where `safety` is set no persona has answered.

    `emotion` is one of the six, also where a persona was asked for that is none of theirs. `adapter` is the version that answered, None
    where the base model did by instruction.
    """

    id: str
    emotion: EmotionOut
    persona: str | None
    adapter: str | None
    safety: SafetyOut | None
    finish_reason: Literal["stop", "length"]
    usage: Usage
    timings_ms: Timings


class RespondReply(DoneOut):
    text: str


class PersonaOut(BaseModel):
    """Its name in lower case is what asks for it. `emotion` is what it answers by itself; one without is only asked for."""

    name: str
    emotion: Emotion | None = None
    voice: str
    colour: str
    emoji: str


class Problem(BaseModel):
    """RFC 9457. `type` is stable; `errors` says which fields are wrong."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] = []


class OpenAIError(BaseModel):
    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: str | None
    code: str


class OpenAIProblem(BaseModel):
    """The same in OpenAI's shape; `code` is our `type`."""

    error: OpenAIError


def emotion_out(detected: Detected) -> EmotionOut:
    return EmotionOut(label=detected.label, score=detected.score, scores=dict(detected.scores))


def detected_out(reading: Detection) -> DetectedOut:
    return DetectedOut(**emotion_out(to_detected(reading.scores)).model_dump(), harm=reading.harm)


def safety_out(flagged: Flagged) -> SafetyOut:
    return SafetyOut(category=flagged.category, action="calm-answer")


def done_out(request_id: str, detected: Detected, flagged: Flagged | None, finished: Finished) -> DoneOut:
    return DoneOut(
        id=request_id,
        emotion=emotion_out(detected),
        persona=None if flagged else detected.persona,
        adapter=finished.adapter,
        safety=safety_out(flagged) if flagged else None,
        finish_reason=finished.finish_reason,
        usage=Usage(prompt_tokens=finished.prompt_tokens, completion_tokens=finished.completion_tokens),
        timings_ms=Timings(**finished.timings_ms),
    )
