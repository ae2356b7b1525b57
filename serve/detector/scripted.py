"""Deterministic classifier without weights, for tests and for trying out the API."""

import hashlib
from collections.abc import Sequence

from models.emotions import LABELS
from models.safety.levels import CONCERN, CRISES, Category, Finding, Level
from serve.detector.protocol import Detection, Input, last_text, turns_of

LIKELY = 0.9
UNLIKELY = 0.02


class ScriptedClassifier:
    """Classifier that looks for the names of emotions, of harm categories and of `concern`."""

    name = "scripted"

    def classify(self, inputs: Sequence[Input]) -> list[Detection]:
        """Detect the first emotion named in each text, or else one chosen by the text's hash."""
        return [_detect(given) for given in inputs]


def _detect(given: Input) -> Detection:
    text = last_text(given).lower()
    named = [label.id for label in LABELS if label in text]
    chosen = named[0] if named else hashlib.sha256(text.encode()).digest()[0] % len(LABELS)
    scores = tuple(LIKELY if index == chosen else UNLIKELY for index in range(len(LABELS)))
    said = " ".join(turn.text.lower() for turn in turns_of(given) if turn.role == "user")
    return Detection(scores, _finding(said))


def _finding(text: str) -> Finding | None:
    crises = dict(zip(Category, CRISES, strict=True))
    crisis = next((crises[category] for category in Category if category in text), None)
    return crisis or (CONCERN if Level.CONCERN in text else None)
