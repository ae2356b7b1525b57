"""A sample evaluation report, in which no number occurs twice."""

from models.emotions import LABELS, Emotion
from training.report.schema import (
    Answer,
    ArmReport,
    Bin,
    ChainReport,
    DetectorReport,
    DetectorSetResult,
    Interval,
    JudgeReport,
    PairedComparison,
    PersonaReport,
    PersonasReport,
    Published,
    Report,
    SenseReport,
    SenseResult,
)

ATTACK = (
    "<script>alert('x')</script><img src=\"http://evil.example/x.png\" onerror=alert(1)>{{ 7 * 7 }}"
)
SET_NAMES = (
    "emotion_test",
    "goemotions_dev_broad",
    "goemotions_dev_strict",
    "unheard_of",
    "ordinary_held_out_topics",
)


class Numbers:
    """Source of different numbers between 0 and 1, to be found again in a page."""

    def __init__(self) -> None:
        self.last = 100

    def next(self) -> float:
        """Return a number that was not returned before."""
        self.last += 1
        return self.last / 1000

    def interval(self, value: float | None = None) -> Interval:
        """Return an interval of new numbers, or one around `value`."""
        low = self.next()
        middle = self.next()
        high = self.next()
        return Interval(value=middle if value is None else value, low=low, high=high)


def sample_report() -> Report:
    """Build a report of two detectors and six personas."""
    numbers = Numbers()
    published = [
        Published(model="someone/bert", accuracy=0.941, macro_f1=0.917, status="self-reported"),
        Published(model="other/net", accuracy=0.931, status="verified"),
    ]
    return Report(
        created="2026-11-24",
        environment={"python": "3.12", "packages": {"torch": "2.13.0<b>"}},
        detectors=[sample_detector(numbers, name) for name in ("small", "large")],
        published=published,
        personas=sample_personas(numbers),
    )


def sample_detector(numbers: Numbers, name: str) -> DetectorReport:
    """Build a detector with results on every set."""
    return DetectorReport(
        name=name,
        base="base-x",
        content_hash="c0ffee",
        parameters=22_713_216,
        artifact_mib=21.5,
        temperature=numbers.next(),
        single_p50_ms=7.5,
        texts_per_s=412,
        sets={
            set_name: sample_set_result(numbers, 100 * place)
            for place, set_name in enumerate(SET_NAMES)
        },
    )


def sample_set_result(numbers: Numbers, rows: int) -> DetectorSetResult:
    """Build the result of a set. Its last row of the confusion matrix is empty."""
    counts = [[1000 + rows + 6 * i + j for j in range(6)] for i in range(5)]
    return DetectorSetResult(
        rows=rows,
        accuracy=numbers.interval(),
        macro_f1=numbers.interval(),
        per_class_f1={label: numbers.next() for label in LABELS},
        confusion=[*counts, [0] * 6],
        ece_before=numbers.next(),
        ece_after=numbers.next(),
        reliability=[
            Bin(rows=3, confidence=0.4, accuracy=0.35),
            Bin(rows=0, confidence=0, accuracy=0),
        ],
    )


def sample_personas(numbers: Numbers) -> PersonasReport:
    """Build the report of six personas, with ten worst answers of untrusted text."""
    worst = Answer(
        persona=Emotion.JOY,
        message=ATTACK,
        answer=ATTACK,
        judged=Emotion.FEAR,
        judge_score=0.011,
    )
    return PersonasReport(
        base="gemma-x",
        max_tokens=96,
        temperature=0.8,
        top_p=0.95,
        judge=JudgeReport(
            name="judge-x",
            content_hash="feed",
            trained_on="replies & posts",
            accuracy={"emotion_test": numbers.interval()},
            written_answers={label: numbers.interval() for label in LABELS},
        ),
        personas=[sample_persona(numbers, label) for label in LABELS],
        separability=numbers.interval(),
        chain=ChainReport(messages=240, detected=numbers.interval(), hit_rate=numbers.interval()),
        sense=SenseReport(
            encoder="encoder-x",
            arms={arm: sample_sense(numbers) for arm in ("constant", "adapter", "reference")},
        ),
        reference_nll={label: numbers.next() for label in LABELS},
        worst=[worst] * 10,
    )


def sample_sense(numbers: Numbers) -> SenseResult:
    """Build the measures of sense of an arm, with an untrusted trigram."""
    return SenseResult(
        answers=240,
        candidates=50,
        message_p1=numbers.interval(),
        message_mrr=numbers.next(),
        answer_p1=numbers.interval(),
        answer_mrr=numbers.next(),
        trigram=ATTACK,
        trigram_share=numbers.next(),
        distinct_2=numbers.next(),
        self_bleu=numbers.next(),
    )


def sample_persona(numbers: Numbers, name: Emotion) -> PersonaReport:
    """Build a persona with three arms and two comparisons."""
    comparisons = [
        PairedComparison(
            against=arm, gain=numbers.interval(), only_adapter=21, only_other=3, p_value=2e-5
        )
        for arm in ("base", "prompted")
    ]
    arms = {arm: sample_arm(numbers) for arm in ("base", "prompted", "adapter")}
    return PersonaReport(persona=name, arms=arms, comparisons=comparisons)


def sample_arm(numbers: Numbers, hit_rate: float | None = None, **measures: float) -> ArmReport:
    """Build an arm. `hit_rate` and `measures` replace new numbers."""
    names = ("distinct_1", "distinct_2", "repetition", "echo_rate", "stop_rate")
    return ArmReport(
        answers=40,
        hit_rate=numbers.interval(hit_rate),
        masked_hit_rate=numbers.interval(),
        words_mean=31.25,
        **{name: measures.get(name, numbers.next()) for name in names},
    )
