"""Deterministic classifier without weights, for tests and for trying out the API."""

import hashlib

from models.detector.harm import Category
from models.emotions import LABELS
from serve.detector.protocol import Detection

LIKELY = 0.9
UNLIKELY = 0.02


class ScriptedClassifier:
    """Classifier that looks for the names of emotions and of harm categories in the text."""

    name = "scripted"

    def classify(self, texts: list[str]) -> list[Detection]:
        """Detect the first emotion named in each text, or else one chosen by the text's hash."""
        return [_detect(text.lower()) for text in texts]


def _detect(text: str) -> Detection:
    named = [label.id for label in LABELS if label in text]
    chosen = named[0] if named else hashlib.sha256(text.encode()).digest()[0] % len(LABELS)
    scores = tuple(LIKELY if index == chosen else UNLIKELY for index in range(len(LABELS)))
    return Detection(scores, next((category for category in Category if category in text), None))
