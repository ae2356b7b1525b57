"""Which texts count as ambiguous, and where mistakes are said to stand."""

from collections import Counter

import pytest

from training.datasets.sources import Example
from training.evaluation.label_noise import LEAST_TEXTS, LabelsOfWords, ambiguous_words, is_ambiguous
from training.report.schema import AmbiguousWords

SADNESS, JOY, LOVE = 0, 1, 2


@pytest.fixture(scope="module")
def words() -> LabelsOfWords:
    """`i feel` says nothing, `glum` is sadness, `generous` is joy in 12 of 20 texts and love in 8."""
    texts = ["i feel glum"] * 20 + ["i feel generous"] * 20 + ["i feel rare"] * (LEAST_TEXTS - 1)
    labels = [SADNESS] * 20 + [JOY] * 12 + [LOVE] * 8 + [LOVE] * (LEAST_TEXTS - 1)
    return LabelsOfWords([Example(text, label) for text, label in zip(texts, labels, strict=True)])


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("today i feel glum", {SADNESS: 20}),
        ("i feel so generous", {JOY: 12, LOVE: 8}),
        ("rare", {}),  # in too few texts
        ("words that nobody wrote", {}),
    ],
)
def test_the_most_telling_word_is_the_one_that_moves_the_shares(words: LabelsOfWords, text: str, labels: dict[int, int]) -> None:
    assert words.of_most_telling(text) == labels


def test_a_word_stands_once_in_a_text() -> None:
    assert LabelsOfWords([Example("so so so", JOY)]).words["so"] == {JOY: 1}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [({JOY: 12, LOVE: 8}, True), ({JOY: 3, LOVE: 1}, True), ({JOY: 31, LOVE: 10}, False), ({JOY: 5}, False), ({}, False)],
)
def test_a_word_is_ambiguous_from_a_quarter_on(counts: dict[int, int], expected: bool) -> None:
    assert is_ambiguous(Counter(counts)) is expected


def test_mistakes_are_counted_where_they_stand(words: LabelsOfWords) -> None:
    rows = [Example("i feel generous", JOY), Example("i feel generous", LOVE), Example("generous", LOVE), Example("glum", SADNESS)]
    found = ambiguous_words(words, rows, [LOVE, LOVE, JOY, LOVE])
    assert found == AmbiguousWords(rows=3, mistakes=2, mistakes_of_commonest_label=2, mistakes_elsewhere=1)
