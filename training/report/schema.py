"""Schema of `report.json`: the result of an evaluation, and the only input of the HTML page."""

from typing import Literal

from pydantic import Field

from models.emotions import Emotion
from models.schema import FrozenModel


class Interval(FrozenModel):
    """An estimate with its 95 % interval: bootstrap, or Wilson's for shares of readings."""

    value: float
    low: float
    high: float


class Bin(FrozenModel):
    """One bin of a reliability diagram."""

    rows: int
    confidence: float = Field(description="mean confidence of the rows")
    accuracy: float


class LabelNoise(FrozenModel):
    """Errors of a detector in rows whose most informative word has two labels."""

    rows: int = Field(description="rows whose most informative word has two labels")
    mistakes: int = Field(description="errors of the detector in these rows")
    mistakes_of_commonest_label: int = Field(
        description="errors in these rows of always predicting the word's most common label"
    )
    mistakes_elsewhere: int = Field(description="errors of the detector in the other rows")


class DetectorSetResult(FrozenModel):
    """Results of a detector on one evaluation set."""

    rows: int
    accuracy: Interval
    macro_f1: Interval
    per_class_f1: dict[Emotion, float]
    confusion: list[list[int]] = Field(
        description="[i][j]: rows of emotion i predicted as emotion j, in label order"
    )
    ece_before: float = Field(description="expected calibration error of the raw logits")
    ece_after: float = Field(description="expected calibration error at the shipped temperature")
    reliability: list[Bin]
    ambiguous: LabelNoise | None = Field(
        default=None, description="none for sets without a training split of the same labelling"
    )


class DetectorReport(FrozenModel):
    """A detector artefact, its speed and its results on every set."""

    name: str
    base: str
    content_hash: str
    parameters: int
    artifact_mib: float
    temperature: float
    single_p50_ms: float = Field(description="median latency of one text, tokenisation included")
    texts_per_s: float = Field(description="throughput in batches of 32")
    sets: dict[str, DetectorSetResult]


class Published(FrozenModel):
    """A published result of another model on the test split of dair-ai/emotion."""

    model: str
    accuracy: float
    macro_f1: float | None = None
    status: Literal["self-reported", "verified"] = Field(
        description="verified: measured by the hub's evaluation of the same weights"
    )


class JudgeReport(FrozenModel):
    """The classifier that labels answers, and its own accuracy."""

    name: str
    content_hash: str
    trained_on: str
    accuracy: dict[str, Interval] = Field(description="on sets it never saw, by name of the set")
    written_answers: dict[Emotion, Interval] = Field(
        description="hit rate on the answers of the held-out pairs, which no persona generated"
    )


class ArmReport(FrozenModel):
    """One way to answer the held-out messages as a persona."""

    answers: int
    hit_rate: Interval = Field(
        description="share of answers that the judge labels with the persona's emotion"
    )
    masked_hit_rate: Interval = Field(description="hit rate with words that name emotions masked")
    distinct_1: float
    distinct_2: float
    words_mean: float
    repetition: float = Field(
        description="share of 4-grams of words that already occurred in the same answer"
    )
    echo_rate: float = Field(description="share of answers with 6 consecutive words of the message")
    stop_rate: float = Field(description="share of answers that end before the token limit")


class PairedComparison(FrozenModel):
    """The adapter against another arm on the same messages."""

    against: str
    gain: Interval = Field(description="difference in hit rate")
    only_adapter: int = Field(description="messages that only the adapter hits")
    only_other: int = Field(description="messages that only the other arm hits")
    p_value: float = Field(description="McNemar's exact test, two-sided")


class PersonaReport(FrozenModel):
    """The arms of one persona, and the comparisons of its adapter with the others."""

    persona: Emotion
    arms: dict[str, ArmReport]
    comparisons: list[PairedComparison]


class Answer(FrozenModel):
    """One generated answer, unedited."""

    persona: Emotion
    message: str
    answer: str
    judged: Emotion
    judge_score: float = Field(description="score that the judge gives the persona's emotion")


class ChainReport(FrozenModel):
    """Detector and persona adapter, one after the other, on the held-out messages."""

    messages: int
    detected: Interval = Field(description="share of messages with the emotion detected correctly")
    hit_rate: Interval = Field(
        description="share of answers that the judge labels with the message's emotion"
    )


class SenseResult(FrozenModel):
    """Measures of sense of one arm, over the answers of all personas."""

    answers: int
    candidates: int = Field(description="candidates of a choice, the true one among them")
    message_p1: Interval = Field(
        description="share of answers for which the encoder picks the true message first"
    )
    message_mrr: float = Field(description="mean reciprocal rank of the true message")
    answer_p1: Interval = Field(
        description="share of messages for which the encoder picks the true answer first"
    )
    answer_mrr: float = Field(description="mean reciprocal rank of the true answer")
    trigram: str = Field(description="three words in a row that most answers contain")
    trigram_share: float = Field(description="share of answers that contain them")
    distinct_2: float = Field(description="over the answers of all personas")
    self_bleu: float = Field(description="mean over the personas")


class SenseReport(FrozenModel):
    """Measures of sense of every arm, with the encoder that chose."""

    encoder: str
    arms: dict[str, SenseResult]


class PersonasReport(FrozenModel):
    """All personas, with the judge and the sampling settings that measured them."""

    base: str
    max_tokens: int
    temperature: float
    top_p: float
    judge: JudgeReport
    personas: list[PersonaReport]
    separability: Interval = Field(
        description="accuracy of a six-way probe on the adapters' answers, cross-validated"
    )
    chain: ChainReport
    sense: SenseReport
    reference_nll: dict[Emotion, float] = Field(
        description="nats a token of the written references under each adapter"
    )
    worst: list[Answer]


class Report(FrozenModel):
    """The whole evaluation."""

    created: str
    environment: dict[str, object]
    detectors: list[DetectorReport]
    published: list[Published]
    personas: PersonasReport | None
