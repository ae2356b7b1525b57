"""The independent classifier that says which emotion an answer expresses, and how far it can be trusted."""

from collections.abc import Sequence
from pathlib import Path

from models.detector.transformer import Classifier
from models.emotions import LABELS, Emotion
from training.datasets.persona_pairs import pairs
from training.datasets.sources import Example
from training.evaluation.intervals import accuracy_interval
from training.report.schema import JudgeReport

TRAINED_ON = (
    "a quarter of GoEmotions and of unsplit dair-ai/emotion that the detector never sees, and 3,602 replies written for it alone;"
    " it has seen no persona pair and no answer of a persona"
)


class Judge:
    """The independent classifier."""

    def __init__(self, folder: Path) -> None:
        self.classifier = Classifier(folder)

    def scores(self, texts: Sequence[str]) -> list[list[float]]:
        """Scores `(len(texts), 6)`. An empty answer gets the scores of an empty text."""
        logits = self.classifier.all_logits(list(texts)) / self.classifier.manifest.temperature
        return [list(map(float, row)) for row in logits.softmax(-1)]

    def labels(self, texts: Sequence[str]) -> list[Emotion]:
        return [LABELS[row.index(max(row))] for row in self.scores(texts)]

    def hits(self, texts: Sequence[str], emotion: Emotion) -> list[bool]:
        return [label is emotion for label in self.labels(texts)]


def judge_report(judge: Judge, unseen: dict[str, list[Example]]) -> JudgeReport:
    """How far the judge can be trusted: on sets that it never saw, and on the answers that were written for the held-out messages."""
    accuracy = {}
    for name, rows in unseen.items():
        labels = judge.labels([row.text for row in rows])
        accuracy[name] = accuracy_interval([label.id == row.label for label, row in zip(labels, rows, strict=True)])
    written = {p: accuracy_interval(judge.hits([pair.answer for pair in pairs(p, held_out=True)], p)) for p in LABELS}
    manifest = judge.classifier.manifest
    return JudgeReport(
        name=f"{manifest.base}, LoRA and a head",
        content_hash=manifest.content_hash,
        trained_on=TRAINED_ON,
        accuracy=accuracy,
        written_answers=written,
    )
