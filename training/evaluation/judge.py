"""The judge: an independent classifier of the emotion that an answer expresses."""

from collections.abc import Sequence
from pathlib import Path

from models.detector.factory import open_for_training
from models.emotions import LABELS, Emotion
from training.datasets.persona_pairs import held_out_pairs
from training.datasets.sources import Example
from training.evaluation.intervals import accuracy_interval
from training.report.schema import Interval, JudgeReport

TRAINED_ON = (
    "a quarter of GoEmotions and 2,000 unsplit rows of dair-ai/emotion, none of which the"
    " detector sees, and 3,602 replies written for the judge alone;"
    " it has seen no persona pair and no answer of a persona"
)


class Judge:
    """A classifier that labels answers with one of the six emotions."""

    def __init__(self, folder: Path) -> None:
        self.classifier = open_for_training(folder)

    def scores(self, texts: Sequence[str]) -> list[list[float]]:
        """Return scores `(len(texts), 6)`. An empty answer is scored as an empty text."""
        logits = self.classifier.all_logits(list(texts)) / self.classifier.manifest.temperature
        return [list(map(float, row)) for row in logits.softmax(-1)]

    def labels(self, texts: Sequence[str]) -> list[Emotion]:
        """Return the most likely emotion of each text."""
        return [LABELS[row.index(max(row))] for row in self.scores(texts)]

    def hits(self, texts: Sequence[str], emotion: Emotion) -> list[bool]:
        """Tell for each text if its most likely emotion is `emotion`."""
        return [label is emotion for label in self.labels(texts)]


def judge_report(judge: Judge, unseen: dict[str, list[Example]]) -> JudgeReport:
    """Measure the judge on sets it never saw, and on the written answers to held-out messages."""
    manifest = judge.classifier.manifest
    return JudgeReport(
        name=f"{manifest.base}, LoRA and a head",
        content_hash=manifest.content_hash,
        trained_on=TRAINED_ON,
        accuracy={name: _accuracy(judge, rows) for name, rows in unseen.items()},
        written_answers={persona: _written_hit_rate(judge, persona) for persona in LABELS},
    )


def _accuracy(judge: Judge, rows: list[Example]) -> Interval:
    labels = judge.labels([row.text for row in rows])
    return accuracy_interval(
        [label.id == row.label for label, row in zip(labels, rows, strict=True)]
    )


def _written_hit_rate(judge: Judge, persona: Emotion) -> Interval:
    answers = [pair.answer for pair in held_out_pairs(persona, "plain")]
    return accuracy_interval(judge.hits(answers, persona))
