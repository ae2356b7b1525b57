"""Requests and responses of the API as pydantic models, from which the OpenAPI document is made."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from models.detector.harm import Category
from models.emotions import Emotion
from models.generation import (
    DEFAULT_MAX_TOKENS,
    DEFAULT_TEMPERATURE,
    DEFAULT_TOP_P,
    MAX_TOKENS_LIMIT,
)
from serve.api.problem_details import LIST, STRING
from serve.config import MAX_TEXTS
from serve.detector.protocol import Detection
from serve.engine.protocol import FinishReason
from serve.pipeline.answer import Answer, EmotionScores, emotion_scores

MAX_TEXT_CHARACTERS = 4000
EXAMPLE = "The weather is perfect today! It's been months since I last felt this cool air!"


def check_text(text: str) -> str:
    """Return a text that can be answered. Raises ValueError."""
    if "\0" in text:
        raise ValueError("must not contain NUL")
    if not text.strip():
        raise ValueError("must not be empty or only white space")
    return text


def _union_tag(value: object) -> str:
    return LIST if isinstance(value, list) else STRING


Text = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS), AfterValidator(check_text)]
# With a discriminator, an error is about the member that was meant and not about both.
ONE_OR_MANY = Discriminator(_union_tag)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class RespondRequest(_Strict):
    """Body of `/v1/respond`."""

    text: Text = Field(examples=[EXAMPLE])
    emotion: str = Field(
        default="auto",
        pattern="^[a-z]{2,32}$",
        description="`auto`, one of the six emotions, or an added persona",
    )
    stream: bool = False
    max_tokens: int = Field(default=DEFAULT_MAX_TOKENS, ge=1, le=MAX_TOKENS_LIMIT)
    temperature: float = Field(default=DEFAULT_TEMPERATURE, ge=0, le=2)
    top_p: float = Field(default=DEFAULT_TOP_P, gt=0, le=1)
    seed: int | None = Field(default=None, ge=0, lt=2**63)


OneText = Annotated[Text, Tag(STRING)]
ManyTexts = Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS), Tag(LIST)]


class DetectRequest(_Strict):
    """Body of `/v1/detect`."""

    text: Annotated[OneText | ManyTexts, ONE_OR_MANY]


class EmotionOut(BaseModel):
    """Emotion of a text, its score, and the scores of all six."""

    label: Emotion
    score: float
    scores: dict[Emotion, float]


class DetectedOut(EmotionOut):
    """Emotion and harm of a text."""

    harm: Category | None = Field(description="harm that the text speaks of")


class DetectReply(BaseModel):
    """Response of `/v1/detect`."""

    model: str
    results: list[DetectedOut]


class Usage(BaseModel):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int


class Timings(BaseModel):
    """Milliseconds of each part since the request's first byte; they sum up to the total."""

    queue: float
    detect: float
    first_token: float
    generate: float
    total: float


class SafetyOut(BaseModel):
    """Reason why no persona answered, and what was done instead."""

    category: Category
    action: Literal["calm-answer"]


class DoneOut(BaseModel):
    """Everything of an answer but its text: the `done` event of a stream."""

    id: str
    emotion: EmotionOut = Field(description="one of the six, also if an added persona was chosen")
    persona: str | None = Field(description="null if `safety` is set")
    adapter: str | None = Field(description="version; null if the base model answered")
    safety: SafetyOut | None
    finish_reason: FinishReason
    usage: Usage
    timings_ms: Timings


class RespondReply(DoneOut):
    """Response of `/v1/respond`."""

    text: str


class PersonaOut(BaseModel):
    """A persona. Its name in lower case selects it."""

    name: str
    emotion: Emotion | None = Field(default=None, description="null for an added persona")
    voice: str
    colour: str
    emoji: str


def emotion_out(emotion: EmotionScores) -> EmotionOut:
    """Return the emotion as it is sent."""
    return EmotionOut(label=emotion.label, score=emotion.score, scores=dict(emotion.scores))


def detected_out(detection: Detection) -> DetectedOut:
    """Return a detection as it is sent."""
    emotion = emotion_out(emotion_scores(detection.scores))
    return DetectedOut(**emotion.model_dump(), harm=detection.harm)


def safety_out(answer: Answer) -> SafetyOut | None:
    """Return why no persona answered, None if one did."""
    return SafetyOut(category=answer.safety, action="calm-answer") if answer.safety else None


def usage_of(answer: Answer) -> Usage:
    """Return the tokens so far."""
    return Usage(prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens)


def done_out(answer: Answer) -> DoneOut:
    """Return everything but the text of a complete answer."""
    assert answer.emotion is not None and answer.finish_reason is not None  # noqa: S101, PT018
    return DoneOut(
        id=answer.message.context.request_id,
        emotion=emotion_out(answer.emotion),
        persona=answer.persona,
        adapter=answer.adapter,
        safety=safety_out(answer),
        finish_reason=answer.finish_reason,
        usage=usage_of(answer),
        timings_ms=Timings(**answer.timer.timings_ms()),
    )
