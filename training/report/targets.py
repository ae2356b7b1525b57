"""Targets of the evaluation: limits that the detectors and adapters should reach."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from training.report.format import EMOTION_TEST

GAIN_TARGET = 0.25  # gain in hit rate of an adapter over each other arm
SELECTION_TARGET = 0.75  # adapter's P@1 of the true message, as a share of the references'
TRIGRAM_TARGET = 0.06  # share of the adapters' answers with the same three words
FEW_SHOT_GAIN_TARGET = 0.15  # over the base model with written examples


@dataclass(frozen=True, slots=True)
class Target:
    """A limit for a measure of every adapter, or of a detector on a set."""

    name: str
    limit: float
    measure: Callable[[Any], float]
    at_least: bool = True  # else the measure must be at most the limit

    def is_met(self, value: float) -> bool:
        """Tell if the value reaches the limit, or stays within it."""
        return value >= self.limit if self.at_least else value <= self.limit


PERSONA_TARGETS = (
    Target("hit rate", 0.80, attrgetter("hit_rate.value")),
    Target("share of answers that end before the token limit", 0.97, attrgetter("stop_rate")),
    Target("share of answers that echo the message", 0.01, attrgetter("echo_rate"), at_least=False),
    Target("distinct-2", 0.6, attrgetter("distinct_2")),
)

DETECTOR_TARGETS = {
    "ordinary_fresh": (Target("accuracy", 0.90, attrgetter("accuracy.value")),),
    EMOTION_TEST: (
        Target("accuracy", 0.935, attrgetter("accuracy.value")),
        Target("macro-F1", 0.90, attrgetter("macro_f1.value")),
        Target("calibration error", 0.03, attrgetter("ece_after"), at_least=False),
    ),
    "goemotions_dev_strict": (Target("macro-F1", 0.84, attrgetter("macro_f1.value")),),
}
