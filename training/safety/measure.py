"""Measures of a safety classifier on messages that it never saw, with 95 % Wilson intervals.

test rows -> finding of each -> recall and false alarms by kind, misses and false alarms by line
          -> the same messages within longer texts -> recall by length and place
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.safety.classifier import SafetyClassifier
from models.safety.levels import Finding, Level
from training.datasets.sources import load_fresh
from training.evaluation.intervals import wilson_interval
from training.report.schema import Interval
from training.safety.data import Row, load_rows, ordinary_row
from training.safety.lengths import LENGTHS, PLACES, ordinary_text, within_text

EMBEDDED = 40  # test messages that are shown within longer texts
ORDINARY_TEXTS = 40  # texts of each length without a signal
SHORT = 150  # characters of a test message, at most, to be shown within texts


@dataclass(frozen=True, slots=True)
class Result:
    """A row and what was found in it."""

    row: Row
    found: Finding | None

    @property
    def flagged(self) -> bool:
        """True if anything was found."""
        return self.found is not None

    @property
    def crisis(self) -> bool:
        """True if a crisis was found."""
        return self.found is not None and self.found.level is Level.CRISIS

    @property
    def hit(self) -> bool:
        """True if the level of a row with a signal, or a more serious one, was found."""
        expected = self.row.finding
        return self.crisis or (
            self.flagged and expected is not None and expected.level is Level.CONCERN
        )


@dataclass(frozen=True, slots=True)
class Measure:
    """A share of rows, with its interval and its goal."""

    name: str
    rows: int
    share: Interval
    goal: str


@dataclass(frozen=True, slots=True)
class Cell:
    """Recall at one length and place, or false alarms of texts without a signal."""

    length: int
    place: str
    rows: int
    crisis: Interval
    either: Interval


@dataclass(frozen=True, slots=True)
class Measures:
    """Everything that the card shows."""

    measures: tuple[Measure, ...]
    cells: tuple[Cell, ...]
    misses: tuple[Result, ...]
    false_alarms: tuple[Result, ...]


def measure(classifier: SafetyClassifier) -> Measures:
    """Measure a classifier on the test set, the fresh ordinary messages and longer texts."""
    test = results(classifier, load_rows("test"))
    fresh = results(classifier, [ordinary_row(one.text, "fresh") for one in load_fresh()])
    return Measures(
        (*_recalls(test), *_false_alarms([*test, *fresh])),
        tuple(_cells(classifier, test)),
        tuple(one for one in test if one.row.finding and not one.hit),
        tuple(one for one in [*test, *fresh] if one.row.finding is None and one.flagged),
    )


def results(classifier: SafetyClassifier, rows: Sequence[Row]) -> list[Result]:
    """Classify rows as serving does."""
    found = classifier.classify([row.turns for row in rows])
    return [Result(row, each.finding) for row, each in zip(rows, found, strict=True)]


def _recalls(test: Sequence[Result]) -> list[Measure]:
    """Measure the rows with a signal by kind: level found, and found at either level."""
    goals = {"explicit": "0.98", "implicit": "0.85", "violence": "0.95"}
    measures = []
    for kind in ("explicit", "implicit", "violence", "conversation", "long"):
        rows = [one for one in test if one.row.kind == kind and one.row.finding]
        goal = goals.get(kind, "")
        measures.append(_share(f"{kind}: level found", rows, lambda one: one.hit, goal))
        measures.append(_share(f"{kind}: at either level", rows, lambda one: one.flagged, ""))
    return measures


def _false_alarms(results: Sequence[Result]) -> list[Measure]:
    """Measure the rows without a signal by kind: flagged as a crisis, and at either level."""
    goals = {"ordinary": ("0.01", "0.03"), "lookalike": ("0.03", "0.06"), "fresh": ("0.01", "0.03")}
    measures = []
    for kind in ("ordinary", "fresh", "lookalike", "conversation", "long"):
        rows = [one for one in results if one.row.kind == kind and one.row.finding is None]
        crisis, either = goals.get(kind, ("", ""))
        measures.append(_share(f"{kind}: false crisis", rows, lambda one: one.crisis, crisis))
        measures.append(_share(f"{kind}: false alarm", rows, lambda one: one.flagged, either))
    return measures


def _share(
    name: str, rows: Sequence[Result], holds: Callable[[Result], bool], goal: str
) -> Measure:
    return Measure(name, len(rows), wilson_interval([holds(one) for one in rows]), goal)


def _cells(classifier: SafetyClassifier, test: Sequence[Result]) -> list[Cell]:
    """Show crises within texts of each length, and ordinary texts of that length."""
    crises = [
        one.row
        for one in test
        if one.row.finding
        and one.row.finding.level is Level.CRISIS
        and len(one.row.turns) == 1
        and len(one.row.text) <= SHORT
    ]
    step = max(len(crises) // EMBEDDED, 1)
    chosen = crises[::step][:EMBEDDED]
    cells = [_cell(classifier, 0, "alone", chosen)]
    for length in LENGTHS:
        for place in PLACES:
            rows = [within_text(row, length, place, seed) for seed, row in enumerate(chosen)]
            cells.append(_cell(classifier, length, place, rows))
        texts = [ordinary_text(length, seed) for seed in range(ORDINARY_TEXTS)]
        cells.append(_cell(classifier, length, "no signal", texts))
    return cells


def _cell(classifier: SafetyClassifier, length: int, place: str, rows: Sequence[Row]) -> Cell:
    found = results(classifier, rows)
    return Cell(
        length,
        place,
        len(found),
        wilson_interval([one.crisis for one in found]),
        wilson_interval([one.flagged for one in found]),
    )
