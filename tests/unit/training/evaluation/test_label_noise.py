"""Label noise: ambiguous words, and the errors in texts that contain them."""

from collections import Counter

import pytest

from training.datasets.sources import Example
from training.evaluation.label_noise import (
    MIN_TEXTS,
    WordLabelCounts,
    is_ambiguous,
    label_noise,
)
from training.report.schema import LabelNoise

SADNESS = 0
JOY = 1
LOVE = 2


@pytest.fixture(scope="module")
def words() -> WordLabelCounts:
    """Counts in which `glum` is sadness, and `generous` joy in 12 of 20 texts and love in 8."""
    texts = ["i feel glum"] * 20 + ["i feel generous"] * 20 + ["i feel rare"] * (MIN_TEXTS - 1)
    labels = [SADNESS] * 20 + [JOY] * 12 + [LOVE] * 8 + [LOVE] * (MIN_TEXTS - 1)
    return WordLabelCounts(
        [Example(text, label) for text, label in zip(texts, labels, strict=True)]
    )


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("today i feel glum", {SADNESS: 20}),
        ("i feel so generous", {JOY: 12, LOVE: 8}),
        ("rare", {}),  # in too few texts
        ("unknown words", {}),
    ],
)
def test_most_informative_word_shifts_the_label_shares_most(
    words: WordLabelCounts, text: str, labels: dict[int, int]
) -> None:
    assert words.most_informative(text) == labels


def test_repeated_word_counts_once_per_text() -> None:
    assert WordLabelCounts([Example("so so so", JOY)]).counts["so"] == {JOY: 1}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({JOY: 12, LOVE: 8}, True),
        ({JOY: 3, LOVE: 1}, True),
        ({JOY: 31, LOVE: 10}, False),
        ({JOY: 5}, False),
        ({}, False),
    ],
)
def test_word_is_ambiguous_from_a_quarter_of_its_texts(
    counts: dict[int, int], expected: bool
) -> None:
    assert is_ambiguous(Counter(counts)) is expected


def test_mistakes_are_counted_in_ambiguous_rows_and_elsewhere(words: WordLabelCounts) -> None:
    rows = [
        Example("i feel generous", JOY),
        Example("i feel generous", LOVE),
        Example("generous", LOVE),
        Example("glum", SADNESS),
    ]
    found = label_noise(words, rows, [LOVE, LOVE, JOY, LOVE])
    assert found == LabelNoise(
        rows=3, mistakes=2, mistakes_of_commonest_label=2, mistakes_elsewhere=1
    )
