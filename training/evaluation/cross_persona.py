"""Measures over all personas: separability, detector with personas, and the worst answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline

from models.emotions import LABELS, Emotion
from training.datasets.persona_pairs import held_out_pairs
from training.evaluation.generation import Arm, GeneratedAnswer, PersonaGenerator
from training.evaluation.intervals import accuracy_interval
from training.evaluation.judge import Judge
from training.evaluation.sampling import SamplingSettings
from training.report.schema import Answer, ChainReport, Interval

PROBE_MESSAGES = 36  # answered by all six personas, so that the subject does not give them away
FOLDS = 6
WORST_ANSWERS = 10

Detect = Callable[[Sequence[str]], list[Emotion]]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A message and its generated answer."""

    message: str
    answer: GeneratedAnswer

    @property
    def text(self) -> str:
        """Text of the answer."""
        return self.answer.text


Exchanges = Mapping[Emotion, Sequence[Exchange]]


def separability(generator: PersonaGenerator, settings: SamplingSettings) -> Interval:
    """Measure how well a bag-of-words probe finds the persona of an answer.

    All personas answer the same messages, and cross-validation keeps the answers to one message in
    one fold.
    """
    messages = _probe_messages()
    texts = [
        answer.text
        for persona in LABELS
        for answer in generator.generate(Arm.ADAPTER, persona, messages, settings)
    ]
    labels = [persona.id for persona in LABELS for _ in messages]
    groups = list(range(len(messages))) * len(LABELS)
    predicted = cross_val_predict(_probe(), texts, labels, groups=groups, cv=GroupKFold(FOLDS))
    return accuracy_interval(
        [int(guess) == label for guess, label in zip(predicted, labels, strict=True)]
    )


def _probe_messages() -> list[str]:
    """Return held-out messages, the same number for each persona."""
    held_out = [[pair.message for pair in held_out_pairs(persona)] for persona in LABELS]
    return [message for group in zip(*held_out, strict=True) for message in group][:PROBE_MESSAGES]


def _probe() -> Pipeline:
    return make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000),
    )


def chain_report(
    judge: Judge,
    generator: PersonaGenerator,
    detect: Detect,
    exchanges: Exchanges,
    settings: SamplingSettings,
) -> ChainReport:
    """Measure detector and persona adapter, one after the other.

    `exchanges` are the answers of the correct personas. They are used where the detector is right.
    """
    detected = {
        persona: detect([each.message for each in exchanges[persona]]) for persona in exchanges
    }
    texts = {persona: [each.text for each in exchanges[persona]] for persona in exchanges}
    for label in LABELS:
        mistaken = _mistaken_for(label, detected)
        messages = [exchanges[persona][row].message for persona, row in mistaken]
        answers = generator.generate(Arm.ADAPTER, label, messages, settings)
        for (persona, row), answer in zip(mistaken, answers, strict=True):
            texts[persona][row] = answer.text
    correct = [label is persona for persona in exchanges for label in detected[persona]]
    hits = [hit for persona in exchanges for hit in judge.hits(texts[persona], persona)]
    return ChainReport(
        messages=len(hits), detected=accuracy_interval(correct), hit_rate=accuracy_interval(hits)
    )


def _mistaken_for(
    label: Emotion, detected: dict[Emotion, list[Emotion]]
) -> list[tuple[Emotion, int]]:
    """Return persona and row of the messages that were detected as `label` by mistake."""
    return [
        (persona, row)
        for persona, found in detected.items()
        for row, emotion in enumerate(found)
        if emotion is label is not persona
    ]


def worst_answers(judge: Judge, exchanges: Exchanges) -> list[Answer]:
    """Return the answers with the lowest judge scores for the emotion of their persona."""
    judged = [
        answer
        for persona, answered in exchanges.items()
        for answer in _judged(judge, persona, answered)
    ]
    return sorted(judged, key=lambda answer: answer.judge_score)[:WORST_ANSWERS]


def _judged(judge: Judge, persona: Emotion, exchanges: Sequence[Exchange]) -> list[Answer]:
    scores = judge.scores([each.text for each in exchanges])
    return [
        Answer(
            persona=persona,
            message=each.message,
            answer=each.text,
            judged=LABELS[row.index(max(row))],
            judge_score=row[persona.id],
        )
        for each, row in zip(exchanges, scores, strict=True)
    ]
