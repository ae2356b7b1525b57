"""Choice of the thresholds on validation rows, by the false alarms that they allow.

scores of harmless rows -> the lowest threshold at which at most the allowed share is flagged
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from models.manifest import Thresholds
from models.safety.classifier import SafetyClassifier
from training.runs.progress import console
from training.safety.data import Row

ALLOWED = {  # share of harmless rows that may be flagged: as a crisis, at either level
    "ordinary": (0.01, 0.03),
    "lookalike": (0.03, 0.06),
    # A word apart from a signal: they teach the difference, and no user writes many of them.
    "contrast": (0.15, 0.3),
    "long": (0.05, 0.1),
}
ORDINARY_KINDS = frozenset({"short", "everyday", "emotional", "strong", "message"})
LONG_KINDS = frozenset({"long", "composed"})
EMBEDDED = "embedded "  # prefix of the kind of a message within a longer text
LOWEST = 0.05  # no lower threshold, however few rows would be flagged
HIGHEST = 0.9999  # no higher threshold, however many rows are flagged


@dataclass(frozen=True, slots=True)
class Score:
    """Highest probabilities of a row's windows: of a crisis, and of either level."""

    crisis: float
    either: float


def score_rows(classifier: SafetyClassifier, rows: Sequence[Row]) -> list[Score]:
    """Score whole rows as serving reads them."""
    encoded = [classifier.encoder.encode(row.turns).windows for row in rows]
    probabilities = iter(
        classifier.probabilities([window for windows in encoded for window in windows]).tolist()
    )
    scores = []
    for windows in encoded:
        own = [next(probabilities) for _ in windows]
        scores.append(Score(max(sum(p[2:]) for p in own), max(1 - p[0] for p in own)))
    return scores


def choose_thresholds(rows: Sequence[Row], scores: Sequence[Score]) -> Thresholds:
    """Return the lowest thresholds that keep to ALLOWED on every group of harmless rows.

    If even HIGHEST does not keep to it, a line says so.
    """
    groups: dict[str, list[Score]] = {name: [] for name in ALLOWED}
    for row, score in zip(rows, scores, strict=True):
        if row.finding is None:
            groups[group_of(row.kind)].append(score)
    crisis = max(
        lowest_threshold([one.crisis for one in found], ALLOWED[name][0])
        for name, found in groups.items()
    )
    either = max(
        lowest_threshold([one.either for one in found], ALLOWED[name][1])
        for name, found in groups.items()
    )
    if max(crisis, either) == HIGHEST:
        console.print(
            f"a threshold is at its highest value of {HIGHEST}: more harmless validation rows than "
            "allowed may reach it; train longer, or look at these rows"
        )
    return Thresholds(crisis=crisis, concern=min(either, crisis))


def group_of(kind: str) -> str:
    """Return the group of a harmless row: every window of a long one may be flagged."""
    if kind in LONG_KINDS or kind.startswith(EMBEDDED):
        return "long"
    if kind in ORDINARY_KINDS:
        return "ordinary"
    return "contrast" if kind == "lookalike" else "lookalike"


def lowest_threshold(scores: Sequence[float], allowed: float) -> float:
    """Return a threshold that at most the share `allowed` of the scores reaches.

    It is never above HIGHEST, which more scores may then reach.
    """
    flagged = math.floor(len(scores) * allowed)
    highest_unflagged = sorted(scores, reverse=True)[flagged] if scores else 0.0
    return min(round(max(highest_unflagged + 1e-4, LOWEST), 4), HIGHEST)
