"""Deterministic classifier and critic without weights, for tests and for trying out the API."""

import hashlib
from collections.abc import Sequence

from models.emotions import LABELS
from models.prompt import Turn
from models.safety.levels import CONCERN, CRISES, Category, Finding, Level
from serve.detector.protocol import Detection, Input, last_text, turns_of

LIKELY = 0.9
UNLIKELY = 0.02
NAMED = 3.0  # logit of an answer that the conversation names


class ScriptedClassifier:
    """Classifier that looks for the names of emotions, of harm categories and of `concern`."""

    name = "scripted"

    def classify(self, inputs: Sequence[Input]) -> list[Detection]:
        """Detect the first emotion named in each text, or else one chosen by the text's hash."""
        return [_detect(given) for given in inputs]


class ScriptedCritic:
    """Critic that likes an answer with a number that the conversation names, such as `#3`.

    Its opinion of any other answer follows from the hash of both, and is lower.
    """

    def score(self, turns: Sequence[Turn], answers: Sequence[str]) -> list[float]:
        """Return 3 for a named answer, and a value from -2 to 2 for others."""
        conversation = " ".join(turn.text for turn in turns)
        return [_opinion(conversation, answer) for answer in answers]


def _opinion(conversation: str, answer: str) -> float:
    named = {word for word in conversation.split() if word.startswith("#")}
    if named.intersection(answer.split()):
        return NAMED
    digest = hashlib.sha256(f"{conversation}\n{answer}".encode()).digest()
    return digest[0] / 64 - 2


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
