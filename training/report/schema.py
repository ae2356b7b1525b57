"""What an evaluation found: the JSON report, and the only input of the HTML page."""

from typing import Literal

from pydantic import Field

from models.emotions import Emotion
from models.schema import FrozenModel


class Interval(FrozenModel):
    """An estimate with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


class Bin(FrozenModel):
    """One bin of a reliability diagram: how sure the detector was on average, and how often it was right."""

    rows: int
    confidence: float
    accuracy: float


class AmbiguousWords(FrozenModel):
    """The texts whose most telling word carries two labels in the training split, and where a detector's mistakes stand."""

    rows: int
    mistakes: int = Field(description="of the detector, in these rows")
    mistakes_of_commonest_label: int = Field(description="in these rows, if one always said the word's commonest label")
    mistakes_elsewhere: int = Field(description="of the detector, in all other rows of the set")


class DetectorOnSet(FrozenModel):
    """A detector on one evaluation set. `confusion[i][j]` counts rows of emotion i taken for j, in label order."""

    rows: int
    accuracy: Interval
    macro_f1: Interval
    per_class_f1: dict[Emotion, float]
    confusion: list[list[int]]
    ece_before: float = Field(description="expected calibration error of the bare logits")
    ece_after: float = Field(description="the same at the shipped temperature")
    reliability: list[Bin]
    ambiguous: AmbiguousWords | None = Field(default=None, description="none where no training split has labels of the same kind")


class DetectorReport(FrozenModel):
    name: str
    base: str
    content_hash: str
    parameters: int
    artifact_mib: float
    temperature: float
    single_p50_ms: float = Field(description="median latency of one text at a time, tokenisation included")
    texts_per_s: float = Field(description="throughput at batches of 32")
    sets: dict[str, DetectorOnSet]


class Published(FrozenModel):
    """A figure that somebody else published for dair-ai/emotion's test split."""

    model: str
    accuracy: float
    macro_f1: float | None = None
    status: Literal["self-reported", "verified"] = Field(description="verified: by the hub's evaluation of the same weights")


class JudgeReport(FrozenModel):
    """The classifier that labels answers, and how far it can be trusted."""

    name: str
    content_hash: str
    trained_on: str
    accuracy: dict[str, Interval] = Field(description="on sets that it never saw, by name of the set")
    written_answers: dict[Emotion, Interval] = Field(
        description="hit rate on the answers that were written, not generated, for the held-out messages"
    )


class ArmReport(FrozenModel):
    """One way of answering the held-out messages as a persona."""

    answers: int
    hit_rate: Interval = Field(description="share of answers in which the judge sees the persona's emotion")
    masked_hit_rate: Interval = Field(description="the same with every word that names an emotion masked")
    distinct_1: float
    distinct_2: float
    words_mean: float
    repetition: float = Field(description="share of 4-grams of words that stand in the same answer before")
    echo_rate: float = Field(description="share of answers that repeat 6 words of the message in a row")
    stop_rate: float = Field(description="share of answers that end by themselves within the limit")


class Paired(FrozenModel):
    """The adapter against another arm on the same messages: gain in hit rate, and McNemar's exact test."""

    against: str
    gain: Interval
    only_adapter: int
    only_other: int
    p_value: float


class PersonaReport(FrozenModel):
    persona: Emotion
    arms: dict[str, ArmReport]
    comparisons: list[Paired]


class Answer(FrozenModel):
    """One answer, unedited."""

    persona: Emotion
    message: str
    answer: str
    judged: Emotion
    judge_score: float = Field(description="the judge's score of the persona's emotion")


class ChainReport(FrozenModel):
    """Held-out messages through detector and persona, without being told the emotion."""

    messages: int
    detected: Interval = Field(description="share of messages whose emotion the detector found")
    hit_rate: Interval = Field(description="share of answers in which the judge sees the message's emotion")


class PersonasReport(FrozenModel):
    base: str
    max_tokens: int
    temperature: float
    top_p: float
    judge: JudgeReport
    personas: list[PersonaReport]
    separability: Interval = Field(description="accuracy of a six-way probe on the adapters' answers, cross-validated by message")
    chain: ChainReport
    worst: list[Answer]


class Report(FrozenModel):
    """The whole evaluation."""

    created: str
    environment: dict[str, object]
    detectors: list[DetectorReport]
    published: list[Published]
    personas: PersonasReport | None
