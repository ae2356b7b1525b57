"""Measures of a trained harm probe on unseen messages."""

from collections.abc import Sequence

import torch
from rich.table import Table

from models.detector.harm_probe import HarmProbe
from models.detector.transformer import TransformerClassifier
from training.datasets.sources import load_fresh
from training.detector.harm_data import Row
from training.evaluation.intervals import accuracy_interval
from training.report.schema import Interval
from training.runs.progress import console


def measure_probe(
    probe: HarmProbe, classifier: TransformerClassifier, test: Sequence[Row]
) -> dict[str, float]:
    """Measure the probe on the test messages and on the fresh ones, which hold no harm.

    Prints a table with intervals, and returns the metrics of the manifest.
    """
    flags = _flags(probe, classifier, [row.text for row in test])
    fresh = _flags(probe, classifier, [example.text for example in load_fresh()])
    harmful = [row.category is not None for row in test]
    precision = accuracy_interval(_selected(harmful, flags))
    recall = accuracy_interval(_selected(flags, harmful))
    flagged = accuracy_interval(fresh)
    intervals = {"precision": precision, "recall": recall, "ordinary messages flagged": flagged}
    console.print(_table(test, flags, intervals))
    metrics = {
        "test_precision": precision.value,
        "test_recall": recall.value,
        "fresh_flagged": flagged.value,
    }
    return {name: round(value, 4) for name, value in metrics.items()}


def _flags(probe: HarmProbe, classifier: TransformerClassifier, texts: Sequence[str]) -> list[bool]:
    """Flag the texts in which the probe finds harm."""
    features = torch.from_numpy(classifier.all_features(texts))
    return [category is not None for category in probe.categories(features)]


def _selected(values: Sequence[bool], where: Sequence[bool]) -> list[bool]:
    return [value for value, chosen in zip(values, where, strict=True) if chosen]


def _table(test: Sequence[Row], flags: Sequence[bool], intervals: dict[str, Interval]) -> Table:
    table = Table("messages", "kind", "flagged", title="unseen messages that speak of harm")
    keys = [(str(row.category or "no harm"), row.kind) for row in test]
    for key in sorted(set(keys)):
        found = [flag for other, flag in zip(keys, flags, strict=True) if other == key]
        table.add_row(*key, f"{sum(found)} of {len(found)}")
    for name, interval in intervals.items():
        text = f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
        table.add_row(name, "", text)
    return table
