"""95 % intervals by the percentile bootstrap and by Wilson's formula, and McNemar's exact test.

The bootstrap is that of Efron 1979, https://doi.org/10.1214/aos/1176344552. A rate or an F1
depends on a resample of rows only through its counts, and these are multinomial. So counts are
drawn instead of rows. Rows are taken to be independent. If all rows agree, the interval has no
width: a bootstrap knows only the rows it has. Wilson's interval keeps a width there.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from models.emotions import LABELS
from training.report.schema import Interval, PairedComparison

RESAMPLES = 2_000
SEED = 0
PERCENTILES = (2.5, 97.5)
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def accuracy_interval(correct: list[bool]) -> Interval:
    """Estimate the share of correct rows. Raises ValueError if there are no rows."""
    hits = sum(correct)
    resampled = _resample([hits, len(correct) - hits])[:, 0] / len(correct)
    return _interval(hits / len(correct), resampled)


def wilson_interval(correct: Sequence[bool]) -> Interval:
    """Estimate the share of correct rows with the interval of Wilson 1927.

    See https://doi.org/10.1080/01621459.1927.10502953. Raises ValueError if there are no rows.
    """
    if not correct:
        raise ValueError("an interval needs at least one row, and there are no rows")
    found = binomtest(sum(correct), len(correct)).proportion_ci(0.95, method="wilson")
    value = sum(correct) / len(correct)
    return Interval(value=value, low=float(found.low), high=float(found.high))


def macro_f1_interval(predicted: list[int], labels: list[int]) -> Interval:
    """Estimate the mean F1 of the six classes; a class that does not occur counts as 0.

    This is the macro-F1 of `training.evaluation.classification`. Raises ValueError if there are no
    rows.
    """
    counts = confusion(predicted, labels)
    resampled = _resample(counts.ravel()).reshape(-1, *counts.shape)
    return _interval(class_f1(counts).mean(), class_f1(resampled).mean(-1))


def compare_paired(adapter: list[bool], other: list[bool], against: str) -> PairedComparison:
    """Compare the hits of two arms on the same messages, in the same order.

    The p-value is that of McNemar 1947 (https://doi.org/10.1007/BF02295996), exact and two-sided:
    if the arms were equal, a message that only one of them hits would be the adapter's with
    probability 1/2. Without such a message it is 1. Raises ValueError if there are no rows.
    """
    pairs = list(zip(adapter, other, strict=True))
    only_adapter = pairs.count((True, False))
    only_other = pairs.count((False, True))
    discordant = only_adapter + only_other
    drawn = _resample([only_adapter, only_other, len(pairs) - discordant])
    return PairedComparison(
        against=against,
        gain=_interval(
            (only_adapter - only_other) / len(pairs), (drawn[:, 0] - drawn[:, 1]) / len(pairs)
        ),
        only_adapter=only_adapter,
        only_other=only_other,
        p_value=float(binomtest(only_adapter, discordant).pvalue) if discordant else 1.0,
    )


def confusion(predicted: list[int], labels: list[int]) -> Counts:
    """Count, as `(6, 6)`, the rows of emotion i that were predicted as j."""
    counts: Counts = np.zeros((len(LABELS), len(LABELS)), dtype=np.int64)
    for guess, label in zip(predicted, labels, strict=True):
        counts[label, guess] += 1
    return counts


def class_f1(counts: Counts) -> Floats:
    """Return the F1 `(..., 6)` of each class from confusion counts `(..., 6, 6)`.

    It is 0 for a class that is neither present nor predicted.
    """
    correct = np.diagonal(counts, axis1=-2, axis2=-1)
    f1: Floats = 2 * correct / np.maximum(counts.sum(-1) + counts.sum(-2), 1)
    return f1


def _resample(counts: ArrayLike) -> Counts:
    """Draw `(RESAMPLES, cells)` counts with replacement; each row sums to that of `counts`."""
    cells: Counts = np.asarray(counts, dtype=np.int64)
    if not cells.sum():
        raise ValueError("an interval needs at least one row, and there are no rows")
    return np.random.default_rng(SEED).multinomial(cells.sum(), cells / cells.sum(), RESAMPLES)


def _interval(value: float, resampled: Floats) -> Interval:
    low, high = np.percentile(resampled, PERCENTILES)
    return Interval(value=float(value), low=float(low), high=float(high))
