"""Measures the persona adapters: do their answers carry the emotion, more than the base model's do, and are they whole answers.

held-out messages -> three arms -> answers -> independent judge -> hit rates, comparisons, text measures
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from models.emotions import LABELS, Emotion
from models.manifest import ADAPTER_WEIGHTS
from models.weights.cache import materialize
from training.datasets.persona_pairs import pairs
from training.datasets.sources import Example
from training.evaluation.generation import Arm, Settings, Writer, Written
from training.evaluation.intervals import accuracy_interval, paired
from training.evaluation.judge import Judge, judge_report
from training.evaluation.text import distinct, echoes, mask_emotion_words, repetition, words
from training.report.schema import Answer, ArmReport, ChainReport, Interval, PersonaReport, PersonasReport

PROBE_MESSAGES = 36  # answered by all six personas, so that a probe cannot tell them apart by subject
FOLDS = 6
WORST = 10


@dataclass(frozen=True, slots=True)
class Told:
    """A message, what was answered, and whether the answer ended by itself."""

    message: str
    answer: str
    ended: bool


Hits = dict[Arm, list[bool]]


def adapter_folders(folder: Path) -> dict[Emotion, Path]:
    """The adapters below `folder`, whether it is a run or what was published."""
    found = {}
    for label in LABELS:
        for candidate in (folder / label / "adapter", folder / label):
            if (candidate / ADAPTER_WEIGHTS).exists():
                found[label] = candidate
    return found


def personas_report(
    base: str,
    adapters: Path,
    judge_folder: Path,
    detect: Callable[[Sequence[str]], list[Emotion]],
    unseen: dict[str, list[Example]],
    say: Callable[[str], None],
) -> PersonasReport:
    """Answers every held-out message by three arms and has them judged. `unseen` are sets that the judge never saw."""
    judge, settings = Judge(judge_folder), Settings()
    writer = Writer(materialize(base), adapter_folders(adapters))
    told: dict[Emotion, dict[Arm, list[Told]]] = {}
    for persona in LABELS:
        messages = [pair.message for pair in pairs(persona, held_out=True)]
        told[persona] = {arm: _tell(messages, writer.write(arm, persona, messages, settings)) for arm in Arm}
        say(f"answered as {persona}")
    answers = {persona: told[persona][Arm.ADAPTER] for persona in LABELS}
    return PersonasReport(
        base=base,
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        judge=judge_report(judge, unseen),
        personas=[persona_report(judge, persona, told[persona]) for persona in LABELS],
        separability=separability(writer, settings),
        chain=chain_report(judge, writer, detect, answers, settings),
        worst=worst(judge, answers),
    )


def _tell(messages: Sequence[str], written: Sequence[Written]) -> list[Told]:
    return [Told(message, answer.text, answer.ended) for message, answer in zip(messages, written, strict=True)]


def persona_report(judge: Judge, persona: Emotion, told: dict[Arm, list[Told]]) -> PersonaReport:
    hits = {arm: judge.hits([one.answer for one in told[arm]], persona) for arm in Arm}
    masked = {arm: judge.hits([mask_emotion_words(one.answer) for one in told[arm]], persona) for arm in Arm}
    comparisons = [paired(hits[Arm.ADAPTER], hits[arm], arm.value) for arm in (Arm.INSTRUCTION, Arm.BASE)]
    comparisons.append(paired(masked[Arm.ADAPTER], masked[Arm.INSTRUCTION], f"{Arm.INSTRUCTION}, emotion words masked"))
    arms = {arm.value: arm_report(told[arm], hits[arm], masked[arm]) for arm in Arm}
    return PersonaReport(persona=persona, arms=arms, comparisons=comparisons)


def arm_report(told: list[Told], hits: list[bool], masked: list[bool]) -> ArmReport:
    texts = [one.answer for one in told]
    return ArmReport(
        answers=len(told),
        hit_rate=accuracy_interval(hits),
        masked_hit_rate=accuracy_interval(masked),
        distinct_1=distinct(texts, 1),
        distinct_2=distinct(texts, 2),
        words_mean=sum(len(words(text)) for text in texts) / len(texts),
        repetition=sum(map(repetition, texts)) / len(texts),
        echo_rate=sum(echoes(one.answer, one.message) for one in told) / len(told),
        stop_rate=sum(one.ended for one in told) / len(told),
    )


def separability(writer: Writer, settings: Settings) -> Interval:
    """Accuracy of a bag-of-words probe that names the persona of an answer; no message stands in both halves of a fold."""
    held_out = [[pair.message for pair in pairs(persona, held_out=True)] for persona in LABELS]
    messages = [message for group in zip(*held_out, strict=True) for message in group][:PROBE_MESSAGES]
    texts = [answer.text for persona in LABELS for answer in writer.write(Arm.ADAPTER, persona, messages, settings)]
    labels = [persona.id for persona in LABELS for _ in messages]
    groups = list(range(len(messages))) * len(LABELS)
    probe = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10, max_iter=1000))
    predicted = cross_val_predict(probe, texts, labels, groups=groups, cv=GroupKFold(FOLDS))
    return accuracy_interval([int(one) == other for one, other in zip(predicted, labels, strict=True)])


def chain_report(
    judge: Judge,
    writer: Writer,
    detect: Callable[[Sequence[str]], list[Emotion]],
    answers: dict[Emotion, list[Told]],
    settings: Settings,
) -> ChainReport:
    """Detector and persona together. Where the detector is right the answer is the one already given."""
    found = {persona: detect([one.message for one in told]) for persona, told in answers.items()}
    texts = {(persona, one.message): one.answer for persona, told in answers.items() for one in told}
    for label in LABELS:
        mistaken = [
            (persona, one.message)
            for persona, told in answers.items()
            for one, detected in zip(told, found[persona], strict=True)
            if detected is label is not persona
        ]
        written = writer.write(Arm.ADAPTER, label, [message for _, message in mistaken], settings)
        texts |= {key: answer.text for key, answer in zip(mistaken, written, strict=True)}
    detected = [label is persona for persona in answers for label in found[persona]]
    hits = [hit for persona, told in answers.items() for hit in judge.hits([texts[persona, one.message] for one in told], persona)]
    return ChainReport(messages=len(hits), detected=accuracy_interval(detected), hit_rate=accuracy_interval(hits))


def worst(judge: Judge, answers: dict[Emotion, list[Told]]) -> list[Answer]:
    """The answers in which the judge sees least of the persona's emotion."""
    return sorted(chain.from_iterable(_judged(judge, persona, told) for persona, told in answers.items()), key=_score)[:WORST]


def _judged(judge: Judge, persona: Emotion, told: list[Told]) -> list[Answer]:
    rows = judge.scores([one.answer for one in told])
    return [
        Answer(persona=persona, message=one.message, answer=one.answer, judged=LABELS[row.index(max(row))], judge_score=row[persona.id])
        for one, row in zip(told, rows, strict=True)
    ]


def _score(answer: Answer) -> float:
    return answer.judge_score
