"""Requests and responses of the API as pydantic models, from which the OpenAPI document is made."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from models.emotions import Emotion
from models.generation import (
    DEFAULT_MAX_TOKENS,
    DEFAULT_TEMPERATURE,
    DEFAULT_TOP_P,
    MAX_TOKENS_LIMIT,
)
from models.safety.levels import Category, Level
from models.text.normalize import is_visible
from serve.api.problem_details import LIST, STRING
from serve.config import MAX_TEXTS
from serve.detector.protocol import Detection
from serve.engine.protocol import FinishReason
from serve.pipeline.answer import Answer, EmotionScores, detected_emotion
from serve.responder.mix import AS_TRAINED, MAX_INTENSITY, MAX_SHARE

MAX_TEXT_CHARACTERS = 4000
LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # no tokenizer and no encoding accepts it
MAX_BLEND = 16  # personas that a request may name
EXAMPLE = "The weather is perfect today! It's been months since I last felt this cool air!"


def check_text(text: str) -> str:
    """Return a text that can be answered. Raises ValueError."""
    if "\0" in text:
        raise ValueError("must not contain NUL")
    check_encodable(text)
    if not is_visible(text):
        raise ValueError("must not be empty, only white space or only invisible characters")
    return text


def check_encodable(text: str) -> str:
    """Return a text that a reply can repeat. Raises ValueError."""
    if LONE_SURROGATE.search(text):
        raise ValueError("must not contain half of a surrogate pair")
    return text


def _check_shares(shares: dict[str, float]) -> dict[str, float]:
    """Return the shares above 0. Raises ValueError if there is none."""
    if any(share < 0 for share in shares.values()):
        raise ValueError("a share must not be negative")
    used = {persona: share for persona, share in shares.items() if share}
    if not used:
        raise ValueError("the shares must not sum up to 0: give at least one above 0")
    return used


def _union_tag(value: object) -> str:
    return LIST if isinstance(value, list) else STRING


Encodable = Annotated[str, AfterValidator(check_encodable)]
Text = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS), AfterValidator(check_text)]
Share = Annotated[float, Field(le=MAX_SHARE, allow_inf_nan=False)]
Blend = Annotated[
    dict[str, Share],
    Field(
        min_length=1,
        max_length=MAX_BLEND,
        description="share of each persona, in any unit; the first of the largest speaks",
        examples=[{"joy": 0.7, "surprise": 0.3}],
    ),
    AfterValidator(_check_shares),
]
Intensity = Annotated[
    float,
    Field(
        ge=0,
        le=MAX_INTENSITY,
        description="1 as trained, 0 the base model with the persona's instruction; in steps of "
        "0.05",
    ),
]
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
    blend: Blend | None = None
    intensity: Intensity = AS_TRAINED


OneText = Annotated[Text, Tag(STRING)]
ManyTexts = Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS), Tag(LIST)]


class DetectRequest(_Strict):
    """Body of `/v1/detect`."""

    text: Annotated[OneText | ManyTexts, ONE_OR_MANY]


class EmotionOut(BaseModel):
    """Emotion of a text, its score, the scores of all six, and whether they mean anything."""

    label: Emotion
    score: float
    scores: dict[Emotion, float]
    language: str | None = Field(description="ISO 639; null where it cannot be told")
    reliable: bool = Field(description="false if the text is certainly not in English")


class DetectedOut(EmotionOut):
    """Emotion and harm of a text."""

    level: Level | None = Field(description="`crisis` or `concern`; null if there is no harm")
    harm: Category | None = Field(description="harm that a crisis is about")
    complete: bool = Field(description="false if the text was too long to be read whole")


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
    """Finding of the safety check, and the action that was taken."""

    level: Level
    category: Category | None = Field(description="null for a concern")
    action: Literal["calm-answer", "gentle-answer"]


class CandidatesOut(BaseModel):
    """Choice of one of several candidates."""

    n: int = Field(description="answers that were written")
    score: float | None = Field(
        description="the critic's probability that the picked one makes sense; null if it failed"
    )


class WrittenOut(BaseModel):
    """Personas that answered, how strongly, and how the answer was picked."""

    blend: dict[str, float] | None = Field(
        description="weight of each persona's adapter; they sum up to the intensity; null if no "
        "persona answered"
    )
    intensity: float | None = Field(description="as used; 0 without an adapter; null as above")
    candidates: CandidatesOut | None = Field(description="null if only one answer was written")


class DoneOut(WrittenOut):
    """Everything of an answer but its text: the `done` event of a stream."""

    id: str
    emotion: EmotionOut = Field(description="one of the six, also if an added persona was chosen")
    persona: str | None = Field(description="null in a crisis and for the base model")
    adapter: str | None = Field(description="version; null if the base model answered")
    safety: SafetyOut | None
    complete: bool = Field(description="false if the conversation was too long to be read whole")
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
    return EmotionOut(
        label=emotion.label,
        score=emotion.score,
        scores=dict(emotion.scores),
        language=emotion.language,
        reliable=emotion.reliable,
    )


def detected_out(detection: Detection) -> DetectedOut:
    """Return a detection as it is sent."""
    return DetectedOut(
        **emotion_out(detected_emotion(detection)).model_dump(),
        level=detection.level,
        harm=detection.harm,
        complete=detection.complete,
    )


def safety_out(answer: Answer) -> SafetyOut | None:
    """Return what the safety check found and what was done, None if it found nothing."""
    if answer.safety is None:
        return None
    crisis = answer.safety.level is Level.CRISIS
    return SafetyOut(
        level=answer.safety.level,
        category=answer.safety.category,
        action="calm-answer" if crisis else "gentle-answer",
    )


def written_out(answer: Answer) -> WrittenOut:
    """Return the weights that were used, and how the answer was picked."""
    mix, picked = answer.mix, answer.candidates
    return WrittenOut(
        blend=dict(mix.weights) if mix else None,
        intensity=mix.intensity if mix else None,
        candidates=CandidatesOut(n=picked.n, score=picked.score) if picked else None,
    )


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
        **written_out(answer).model_dump(),
        safety=safety_out(answer),
        complete=answer.complete,
        finish_reason=answer.finish_reason,
        usage=usage_of(answer),
        timings_ms=Timings(**answer.timer.timings_ms()),
    )
