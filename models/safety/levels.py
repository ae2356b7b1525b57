"""Levels and categories of the safety check.

An outcome is what the classifier tells apart; a level is what the pipeline acts on.
"""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """Seriousness of what a message says."""

    CONCERN = "concern"
    CRISIS = "crisis"


class Category(StrEnum):
    """Kind of harm that a crisis is about."""

    SELF_HARM = "self-harm"
    VIOLENCE = "violence"


@dataclass(frozen=True, slots=True)
class Finding:
    """Level of a message; the category is that of a crisis, None for a concern."""

    level: Level
    category: Category | None = None


CONCERN = Finding(Level.CONCERN)
CRISES = tuple(Finding(Level.CRISIS, category) for category in Category)
OUTCOMES: tuple[Finding | None, ...] = (None, CONCERN, *CRISES)  # in the order of the logits
