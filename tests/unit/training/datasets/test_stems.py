"""Stems of content words."""

import pytest

from training.datasets.lint.stems import content_stems


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("queue", "queues"),
        ("plan", "planned"),
        ("bake", "baking"),
        ("worry", "worries"),
        ("sad", "sadness"),
        ("dad's", "dad"),
    ],
)
def test_forms_of_a_word_share_a_stem(one: str, other: str) -> None:
    assert content_stems(one) == content_stems(other) != set()


def test_function_words_and_negations_have_no_stem() -> None:
    assert content_stems("I don't and she wasn't, it's what you're after") == set()
    assert content_stems("😭 ?") == set()


def test_other_words_have_other_stems() -> None:
    assert content_stems("the train was late") == {"train", "lat"}
