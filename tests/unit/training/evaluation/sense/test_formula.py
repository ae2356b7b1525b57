"""Phrases that return, and answers that are alike."""

import pytest

from training.evaluation.sense.formula import most_frequent_trigram, self_bleu


def test_trigram_is_counted_once_a_text() -> None:
    texts = ["I am so I am so sad", "Well, I am so glad.", "no way, man", "no way, man!", "oh"]
    assert most_frequent_trigram(texts) == ("i am so", 0.4)
    assert most_frequent_trigram(["oh", ""]) == ("", 0)


def test_self_bleu_of_equal_texts_is_one_and_of_unlike_ones_near_zero() -> None:
    same = ["the cat is on the mat"] * 3
    assert self_bleu(same) == pytest.approx(1)
    assert self_bleu(["a b c d e", "f g h i j"]) == 0
    assert self_bleu(["only one here"]) == 0
    assert self_bleu(["", "a b"]) == 0


def test_self_bleu_of_a_case_computed_by_hand() -> None:
    # Unigrams 3/5, then smoothed bigrams (2+1)/(4+1), trigrams (1+1)/(3+1), 4-grams 1/3; both
    # texts have the same length, so there is no penalty.
    expected = (3 / 5 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25
    assert self_bleu(["a b c x y", "a b c p q"]) == pytest.approx(expected)


def test_a_short_text_is_penalised_and_a_count_is_clipped() -> None:
    texts = ["a a", "a b c d"]
    # "a a": one of two unigrams is clipped away, bigrams 1/2, no longer grams, length 2 of 4.
    short = (1 / 2 * 1 / 2 * 1 * 1) ** 0.25 * 2.718281828 ** (1 - 4 / 2)
    long = (1 / 4 * 1 / 4 * 1 / 3 * 1 / 2) ** 0.25
    assert self_bleu(texts) == pytest.approx((short + long) / 2)


def test_other_text_with_the_same_count_is_found() -> None:
    # A text's own count is not compared with itself: the highest count of the others is.
    assert self_bleu(["a a", "a b"]) < self_bleu(["a a", "a a"])
