"""The six emotions, in the order of the detector's logits."""

from enum import StrEnum


class Emotion(StrEnum):
    """One of the six; the value is its name on every wire, `id` its place in the logits."""

    SADNESS = "sadness"
    JOY = "joy"
    LOVE = "love"
    ANGER = "anger"
    FEAR = "fear"
    SURPRISE = "surprise"

    @property
    def id(self) -> int:
        return LABELS.index(self)


LABELS: tuple[Emotion, ...] = tuple(Emotion)
