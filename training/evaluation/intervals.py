"""95 % intervals by the percentile bootstrap, and McNemar's exact test.

Bootstrap: Efron 1979, Bootstrap methods: another look at the jackknife, https://doi.org/10.1214/aos/1176344552. A rate or an F1 depends
on a resample of rows only through its counts, and these are multinomial; so the counts are drawn, not the rows. Rows count as
independent. Where all rows agree an interval has no width: a bootstrap knows only what the rows show.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from models.emotions import LABELS
from training.report.schema import Interval, Paired

RESAMPLES = 2_000
SEED = 0
PERCENTILES = (2.5, 97.5)
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def accuracy_interval(right: list[bool]) -> Interval:
    """The share of rows that are right. Raises ValueError without rows, as every interval here does."""
    hits = sum(right)
    resampled = _resample([hits, len(right) - hits])[:, 0] / len(right)
    return _interval(hits / len(right), resampled)


def macro_f1_interval(predicted: list[int], labels: list[int]) -> Interval:
    """Mean F1 of the six, as `training.evaluation.classification` has it: a class that is absent counts 0."""
    counts = confusion(predicted, labels)
    resampled = _resample(counts.ravel()).reshape(-1, *counts.shape)
    return _interval(class_f1(counts).mean(), class_f1(resampled).mean(-1))


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean of any values, by resampled rows `(RESAMPLES, n)`."""
    if not len(values):
        raise ValueError("there are no rows")
    array: Floats = np.asarray(values, dtype=np.float64)
    rows = np.random.default_rng(SEED).integers(0, len(array), (RESAMPLES, len(array)))
    return _interval(array.mean(), array[rows].mean(-1))


def paired(adapter: list[bool], other: list[bool], against: str) -> Paired:
    """Two arms on the same messages, in the same order.

    The exact p-value is that of McNemar 1947 (https://doi.org/10.1007/BF02295996): were the arms alike, each message that only one of
    them hits would be the adapter's with probability 1/2. Two-sided; 1 where there is no such message.
    """
    both = list(zip(adapter, other, strict=True))
    ours, theirs = both.count((True, False)), both.count((False, True))
    drawn = _resample([ours, theirs, len(both) - ours - theirs])
    gain = _interval((ours - theirs) / len(both), (drawn[:, 0] - drawn[:, 1]) / len(both))
    p_value = float(binomtest(ours, ours + theirs).pvalue) if ours + theirs else 1.0
    return Paired(against=against, gain=gain, only_adapter=ours, only_other=theirs, p_value=p_value)


def confusion(predicted: list[int], labels: list[int]) -> Counts:
    """Counts `(6, 6)`: rows of emotion i that were taken for j."""
    counts: Counts = np.zeros((len(LABELS), len(LABELS)), dtype=np.int64)
    for guess, label in zip(predicted, labels, strict=True):
        counts[label, guess] += 1
    return counts


def class_f1(counts: Counts) -> Floats:
    """F1 `(..., 6)` of each class from confusion counts `(..., 6, 6)`; 0 where a class is neither there nor predicted."""
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    f1: Floats = 2 * right / np.maximum(counts.sum(-1) + counts.sum(-2), 1)
    return f1


def _resample(counts: ArrayLike) -> Counts:
    """Counts `(RESAMPLES, cells)` of as many rows as `counts` `(cells,)` has, drawn from them with replacement."""
    cells: Counts = np.asarray(counts, dtype=np.int64)
    if not cells.sum():
        raise ValueError("there are no rows")
    return np.random.default_rng(SEED).multinomial(cells.sum(), cells / cells.sum(), RESAMPLES)


def _interval(value: float, resampled: Floats) -> Interval:
    low, high = np.percentile(resampled, PERCENTILES)
    return Interval(value=float(value), low=float(low), high=float(high))
