"""Intervals and tests, against scipy, scikit-learn, plain loops and cases computed by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import confusion_matrix, f1_score

from training.evaluation.classification import scores
from training.evaluation.intervals import (
    accuracy_interval,
    class_f1,
    compare_paired,
    confusion,
    macro_f1_interval,
    wilson_interval,
)
from training.report.schema import Interval

CLASSES = range(6)
rows = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=60)


def random_rows(seed: int, size: int, correct: float = 0.7) -> tuple[list[int], list[int]]:
    """Draw predictions and labels; a share `correct` of them, plus chance, agrees."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 6, size)
    keep = random.random(size) < correct
    predicted = np.where(keep, labels, random.integers(0, 6, size))
    return predicted.tolist(), labels.tolist()


def bootstrap_by_rows(
    predicted: list[int], labels: list[int], draws: int = 600
) -> tuple[float, float]:
    """Compute the interval of macro-F1 by resampling rows, one resample at a time."""
    random = np.random.default_rng(7)
    guesses = np.array(predicted)
    truth = np.array(labels)
    found: list[float] = []
    for _ in range(draws):
        drawn = random.integers(0, len(truth), len(truth))
        found.append(float(sklearn_f1(truth[drawn], guesses[drawn], "macro")))
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)


def sklearn_f1(labels: object, predicted: object, average: str | None) -> Any:
    """Compute F1 with scikit-learn, with all six classes."""
    return f1_score(labels, predicted, average=average, labels=CLASSES, zero_division=0)


def scipy_interval(values: NDArray[np.generic]) -> tuple[float, float]:
    """Compute the bootstrap interval of a mean with scipy."""
    result = stats.bootstrap(
        (values,), np.mean, n_resamples=4_000, method="percentile", rng=1
    ).confidence_interval
    return float(result.low), float(result.high)


def is_close(found: Interval, low: float, high: float, within: float) -> bool:
    return abs(found.low - low) < within and abs(found.high - high) < within


def test_accuracy_interval_equals_that_of_scipy() -> None:
    correct = [True] * 150 + [False] * 50
    found = accuracy_interval(correct)
    assert found.value == 0.75
    assert is_close(found, *scipy_interval(np.array(correct)), within=0.011)


def test_macro_f1_interval_equals_that_of_resampled_rows() -> None:
    predicted, labels = random_rows(1, 240)
    expected = bootstrap_by_rows(predicted, labels)
    assert is_close(macro_f1_interval(predicted, labels), *expected, within=0.012)


@given(rows)
def test_macro_f1_equals_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    predicted, labels = map(list, zip(*pairs, strict=True))
    found = macro_f1_interval(predicted, labels)
    assert found.value == pytest.approx(sklearn_f1(labels, predicted, "macro"))
    assert class_f1(confusion(predicted, labels)) == pytest.approx(
        sklearn_f1(labels, predicted, None)
    )
    assert 0 <= found.low <= found.high <= 1


@pytest.mark.usefixtures("one_thread")
def test_macro_f1_equals_that_of_classification_scores() -> None:
    predicted = [0, 0, 1, 0]
    labels = [0, 1, 1, 2]
    logits = torch.nn.functional.one_hot(torch.tensor(predicted), 6).float()
    expected = scores(logits, labels)["macro_f1"]
    assert macro_f1_interval(predicted, labels).value == pytest.approx(expected, abs=1e-4)


def test_absent_class_counts_as_zero() -> None:
    found = macro_f1_interval([0, 0, 1], [0, 0, 1])
    assert found.value == pytest.approx(2 / 6)
    assert found.high == pytest.approx(2 / 6)


@given(rows)
def test_confusion_equals_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    predicted, labels = map(list, zip(*pairs, strict=True))
    expected = confusion_matrix(labels, predicted, labels=CLASSES)
    assert confusion(predicted, labels).tolist() == expected.tolist()


@given(st.lists(st.booleans(), min_size=1, max_size=80))
def test_estimate_lies_in_its_interval(correct: list[bool]) -> None:
    found = accuracy_interval(correct)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_accuracy_intervals_cover_the_truth_in_95_percent() -> None:
    random = np.random.default_rng(11)
    found = [accuracy_interval((random.random(200) < 0.7).tolist()) for _ in range(300)]
    assert 0.91 <= np.mean([each.low <= 0.7 <= each.high for each in found]) <= 0.985


def test_macro_f1_intervals_cover_the_truth() -> None:
    truth = 0.7 + 0.3 / 6  # every class has this precision and this recall
    found = [macro_f1_interval(*random_rows(seed, 400)) for seed in range(100)]
    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.88


def test_intervals_shrink_with_the_square_root_of_the_rows() -> None:
    small, large = (accuracy_interval([True, True, True, False] * times) for times in (25, 400))
    assert (small.high - small.low) / (large.high - large.low) == pytest.approx(4, rel=0.15)
    few, many = (macro_f1_interval(*random_rows(5, size)) for size in (100, 1600))
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(4, rel=0.3)


def test_same_rows_give_the_same_interval() -> None:
    assert accuracy_interval([True, False, True]) == accuracy_interval([False, True, True])


def test_interval_of_rows_that_agree_has_no_width() -> None:
    assert accuracy_interval([True] * 9) == Interval(value=1, low=1, high=1)


def test_paired_comparison_of_a_case_by_hand() -> None:
    # Of 10 messages both arms hit 2, only the adapter 5, only the other 1 and neither 2.
    # p = 2 * (C(6,0) + C(6,1)) / 2^6.
    adapter = [True] * 2 + [True] * 5 + [False] + [False] * 2
    other = [True] * 2 + [False] * 5 + [True] + [False] * 2
    found = compare_paired(adapter, other, "base")
    assert (found.against, found.only_adapter, found.only_other) == ("base", 5, 1)
    assert found.gain.value == pytest.approx(0.4)
    assert found.p_value == pytest.approx(14 / 64)


def test_interval_of_a_gain_equals_that_of_the_paired_differences() -> None:
    random = np.random.default_rng(2)
    other = random.random(160) < 0.4
    adapter = other | (random.random(160) < 0.5)
    difference = adapter.astype(float) - other
    gain = compare_paired(adapter.tolist(), other.tolist(), "base").gain
    assert is_close(gain, *scipy_interval(difference), within=0.015)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50))
def test_swapping_the_arms_negates_the_gain_and_keeps_the_p_value(
    both: list[tuple[bool, bool]],
) -> None:
    one, other = map(list, zip(*both, strict=True))
    found = compare_paired(one, other, "b")
    swapped = compare_paired(other, one, "a")
    assert found.gain.value == -swapped.gain.value
    assert found.p_value == pytest.approx(swapped.p_value)
    assert (found.only_adapter, found.only_other) == (swapped.only_other, swapped.only_adapter)
    assert found.gain.value == pytest.approx(sum(one) / len(one) - sum(other) / len(other))


def test_equal_arms_have_no_gain() -> None:
    found = compare_paired([True, False], [True, False], "base")
    assert found.p_value == 1
    assert found.gain == Interval(value=0, low=0, high=0)


def test_rejects_arms_and_rows_of_different_lengths() -> None:
    with pytest.raises(ValueError, match="shorter"):
        compare_paired([True, False], [True], "base")
    with pytest.raises(ValueError, match="shorter"):
        macro_f1_interval([0, 1], [0])


def test_rejects_empty_rows() -> None:
    with pytest.raises(ValueError, match="no rows"):
        macro_f1_interval([], [])
    with pytest.raises(ValueError, match="no rows"):
        accuracy_interval([])


def test_wilson_interval_has_the_known_bounds_and_a_width_without_a_miss() -> None:
    found = wilson_interval([True] * 8 + [False] * 2)
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)
    found = wilson_interval([True] * 10)
    assert (found.value, found.low, found.high) == pytest.approx((1, 0.7225, 1), abs=1e-4)
    with pytest.raises(ValueError, match="no rows"):
        wilson_interval([])
