"""The six emotions, in the order of the detector's logits."""

from enum import StrEnum


class Emotion(StrEnum):
    """One of the six emotions; its value is its name in every API and file."""

    SADNESS = "sadness"
    JOY = "joy"
    LOVE = "love"
    ANGER = "anger"
    FEAR = "fear"
    SURPRISE = "surprise"

    @property
    def id(self) -> int:
        """Index of the emotion in the detector's logits."""
        return LABELS.index(self)


LABELS: tuple[Emotion, ...] = tuple(Emotion)
