"""Intervals and tests, against scipy, scikit-learn, plain loops and cases by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import confusion_matrix, f1_score

from training.evaluation.classification import scores
from training.evaluation.intervals import accuracy_interval, class_f1, confusion, macro_f1_interval, mean_interval, paired
from training.report.schema import Interval

CLASSES = range(6)
rows = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=60)


def some_rows(seed: int, size: int, right: float = 0.7) -> tuple[list[int], list[int]]:
    """Predictions and labels, of which `right` agree but for chance."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 6, size)
    return np.where(random.random(size) < right, labels, random.integers(0, 6, size)).tolist(), labels.tolist()


def plain_bootstrap(predicted: list[int], labels: list[int], draws: int = 600) -> tuple[float, float]:
    """The same interval of macro-F1 by rows drawn one resample at a time."""
    random, guesses, truth = np.random.default_rng(7), np.array(predicted), np.array(labels)
    found = []
    for _ in range(draws):
        drawn = random.integers(0, len(truth), len(truth))
        found.append(f1_score(truth[drawn], guesses[drawn], average="macro", labels=CLASSES, zero_division=0))
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)


def same(one: Interval, low: float, high: float, within: float) -> bool:
    return abs(one.low - low) < within and abs(one.high - high) < within


def test_the_interval_of_an_accuracy_is_scipys() -> None:
    right = [True] * 150 + [False] * 50
    ours = accuracy_interval(right)
    theirs = stats.bootstrap((np.array(right),), np.mean, n_resamples=4_000, method="percentile", rng=1).confidence_interval
    assert ours.value == 0.75
    assert same(ours, theirs.low, theirs.high, 0.011)


def test_an_accuracy_is_the_mean_of_its_rows() -> None:
    right = [True] * 80 + [False] * 40
    ours, means = accuracy_interval(right), mean_interval(right)
    assert ours.value == means.value
    assert same(ours, means.low, means.high, 0.02)


def test_the_interval_of_a_mean_is_near_the_normal_one() -> None:
    values = np.random.default_rng(3).normal(12, 4, 900).tolist()
    ours, width = mean_interval(values), 1.96 * np.std(values) / 30
    assert ours.value == pytest.approx(np.mean(values))
    assert same(ours, ours.value - width, ours.value + width, 0.03)


def test_the_interval_of_a_macro_f1_is_that_of_resampled_rows() -> None:
    predicted, labels = some_rows(1, 240)
    assert same(macro_f1_interval(predicted, labels), *plain_bootstrap(predicted, labels), within=0.012)


@given(rows)
def test_the_macro_f1_is_sklearns(pairs: list[tuple[int, int]]) -> None:
    predicted, labels = map(list, zip(*pairs, strict=True))
    expected = f1_score(labels, predicted, average="macro", labels=CLASSES, zero_division=0)
    found = macro_f1_interval(predicted, labels)
    assert found.value == pytest.approx(expected)
    assert class_f1(confusion(predicted, labels)) == pytest.approx(
        f1_score(labels, predicted, average=None, labels=CLASSES, zero_division=0)
    )
    assert 0 <= found.low <= found.high <= 1


@pytest.mark.usefixtures("one_thread")
def test_it_agrees_with_the_projects_own_measure() -> None:
    predicted, labels = [0, 0, 1, 0], [0, 1, 1, 2]
    logits = torch.nn.functional.one_hot(torch.tensor(predicted), 6).float()
    assert macro_f1_interval(predicted, labels).value == pytest.approx(scores(logits, labels)["macro_f1"], abs=1e-4)


def test_an_absent_class_counts_nothing() -> None:
    found = macro_f1_interval([0, 0, 1], [0, 0, 1])
    assert found.value == pytest.approx(2 / 6)
    assert found.high == pytest.approx(2 / 6)


@given(rows)
def test_confusion_is_sklearns(pairs: list[tuple[int, int]]) -> None:
    predicted, labels = map(list, zip(*pairs, strict=True))
    assert confusion(predicted, labels).tolist() == confusion_matrix(labels, predicted, labels=CLASSES).tolist()


@given(st.lists(st.booleans(), min_size=1, max_size=80))
def test_the_estimate_lies_in_its_interval(right: list[bool]) -> None:
    found = accuracy_interval(right)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(11)
    found = [accuracy_interval((random.random(200) < 0.7).tolist()) for _ in range(300)]
    assert 0.91 <= np.mean([each.low <= 0.7 <= each.high for each in found]) <= 0.985


def test_intervals_of_macro_f1_cover_the_truth() -> None:
    truth = 0.7 + 0.3 / 6  # every class has this precision and this recall
    found = [macro_f1_interval(*some_rows(seed, 400)) for seed in range(100)]
    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.88


def test_intervals_shrink_with_the_root_of_the_rows() -> None:
    small, large = (accuracy_interval([True, True, True, False] * times) for times in (25, 400))
    assert (small.high - small.low) / (large.high - large.low) == pytest.approx(4, rel=0.15)
    few, many = (macro_f1_interval(*some_rows(5, size)) for size in (100, 1600))
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(4, rel=0.3)


def test_the_same_rows_give_the_same_interval() -> None:
    assert accuracy_interval([True, False, True]) == accuracy_interval([False, True, True])
    assert mean_interval([1.0, 2.0, 4.0]) == mean_interval([1.0, 2.0, 4.0])


def test_rows_that_agree_leave_no_width() -> None:
    assert accuracy_interval([True] * 9) == Interval(value=1, low=1, high=1)
    assert mean_interval([2.5] * 9) == Interval(value=2.5, low=2.5, high=2.5)


def test_a_pairing_by_hand() -> None:
    # Of 10 messages both hit 2, only the adapter 5, only the other 1, none 2. p = 2 * (C(6,0) + C(6,1)) / 2^6.
    adapter = [True] * 2 + [True] * 5 + [False] + [False] * 2
    other = [True] * 2 + [False] * 5 + [True] + [False] * 2
    found = paired(adapter, other, "base")
    assert (found.against, found.only_adapter, found.only_other) == ("base", 5, 1)
    assert found.gain.value == pytest.approx(0.4)
    assert found.p_value == pytest.approx(14 / 64)


def test_the_interval_of_a_gain_is_that_of_the_paired_rows() -> None:
    random = np.random.default_rng(2)
    other = random.random(160) < 0.4
    adapter = other | (random.random(160) < 0.5)
    difference = adapter.astype(float) - other
    theirs = stats.bootstrap((difference,), np.mean, n_resamples=4_000, method="percentile", rng=1).confidence_interval
    assert same(paired(adapter.tolist(), other.tolist(), "base").gain, theirs.low, theirs.high, 0.015)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50))
def test_to_swap_the_arms_turns_the_gain_and_keeps_the_p_value(both: list[tuple[bool, bool]]) -> None:
    one, other = map(list, zip(*both, strict=True))
    there, back = paired(one, other, "b"), paired(other, one, "a")
    assert there.gain.value == -back.gain.value
    assert there.p_value == pytest.approx(back.p_value)
    assert (there.only_adapter, there.only_other) == (back.only_other, back.only_adapter)
    assert there.gain.value == pytest.approx(sum(one) / len(one) - sum(other) / len(other))


def test_arms_that_never_differ() -> None:
    found = paired([True, False], [True, False], "base")
    assert found.p_value == 1
    assert found.gain == Interval(value=0, low=0, high=0)


def test_arms_and_rows_must_match() -> None:
    with pytest.raises(ValueError, match="shorter"):
        paired([True, False], [True], "base")
    with pytest.raises(ValueError, match="shorter"):
        macro_f1_interval([0, 1], [0])


@pytest.mark.parametrize("nothing", [lambda: macro_f1_interval([], []), lambda: mean_interval([])])
def test_nothing_has_no_interval(nothing: object) -> None:
    with pytest.raises(ValueError, match="no rows"):
        nothing()  # type: ignore[operator]
