"""Preference pairs: of two answers of a model to one message, the one that readers marked higher.

marked answers -> answers of each message -> Preference
"""

import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from models.emotions import Emotion
from training.datasets.read_labels import LabelledAnswer


@dataclass(frozen=True, slots=True)
class Preference:
    """Two answers of a persona to a message.

    Attributes:
        chosen: the answer with the higher mark.
        rejected: the answer with the lower mark.
    """

    persona: Emotion
    message: str
    chosen: str
    rejected: str


def preferences(rows: Iterable[LabelledAnswer], per_message: int, seed: int) -> list[Preference]:
    """Return at most `per_message` preferences for each message that has different marks.

    They are drawn at random, and the messages keep their order.
    """
    answers: defaultdict[tuple[Emotion, str], dict[str, int]] = defaultdict(dict)
    for row in rows:
        answers[row.persona, row.message][row.answer] = row.mark
    generator = random.Random(seed)
    found = []
    for (persona, message), marks in answers.items():
        pairs = [
            Preference(persona, message, better, worse)
            for better, high in marks.items()
            for worse, low in marks.items()
            if high > low
        ]
        found += generator.sample(pairs, min(per_message, len(pairs)))
    return found
