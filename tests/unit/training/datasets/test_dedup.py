"""Near-duplicates, against the definition of Jaccard similarity of 5-grams, and the leak check."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.datasets.dedup import (
    NearDuplicateIndex,
    band_shape,
    character_ngrams,
    check_leaks,
    miss_probability,
    near_duplicate_pairs,
    normalize,
)
from training.errors import LeakError

SENTENCE = "they gave my desk away while i was at the funeral of my own mother"
NEAR = SENTENCE.replace("funeral", "burial")
WORDS = st.sampled_from(
    ["queue", "door", "rain", "sister", "bread", "kettle", "garden", "train", "night", "letter"]
)
SENTENCES = st.lists(WORDS, min_size=4, max_size=9, unique=True).map(" ".join)
THRESHOLDS = st.sampled_from([0.5, 0.8, 1.0])
THRESHOLD = 0.6
CERTAIN = 0.7  # so similar that the index, which only estimates, must not miss it


def jaccard(one: str, other: str) -> float:
    first = five_grams(one)
    second = five_grams(other)
    return len(first & second) / len(first | second)


def five_grams(text: str) -> set[str]:
    padded = f" {text} "
    return {padded[i : i + 5] for i in range(len(padded) - 4)}


def find(texts: list[str], text: str, similarity: float = THRESHOLD) -> int | None:
    index = NearDuplicateIndex(similarity)
    assert [index.add(one) for one in texts] == list(range(len(texts)))
    return index.find(text)


def test_normalize_removes_case_punctuation_and_spacing() -> None:
    assert normalize("  Hang on -- you_speak\tFinnish?! ") == "hang on you speak finnish"
    assert normalize("?!") == ""


def test_character_ngrams_are_those_of_the_padded_words() -> None:
    assert character_ngrams("Oh, you!") == {" oh y", "oh yo", "h you", " you "}
    assert character_ngrams("a") == {" a "}


@pytest.mark.parametrize("similarity", [0.3, 0.8, 1.0])
def test_finds_an_equal_text_at_any_threshold(similarity: float) -> None:
    assert find(["something else", SENTENCE], SENTENCE, similarity) == 1


def test_finds_a_near_duplicate_only_below_its_similarity() -> None:
    similarity = jaccard(SENTENCE, NEAR)
    assert 0.75 < similarity < 0.85
    assert find([SENTENCE], NEAR, similarity - 0.01) == 0
    assert find([SENTENCE], NEAR, similarity + 0.01) is None
    assert find([SENTENCE], NEAR, 1.0) is None


@pytest.mark.parametrize("similarity", [0.3, 0.5, 0.7, 0.8, 0.9])
def test_index_misses_at_most_one_of_a_hundred_thousand_pairs(similarity: float) -> None:
    bands, rows = band_shape(similarity)
    assert bands * rows <= 128
    assert miss_probability(similarity, bands, rows) <= 1e-5
    assert miss_probability(0.8, 8, 8) == pytest.approx(0.23, abs=0.001)


def test_finds_every_pair_that_is_barely_similar_enough() -> None:
    generator = random.Random(0)
    pairs: list[tuple[str, str]] = []
    while len(pairs) < 60:
        letters = [generator.choice("abcdefghijklmnop") for _ in range(90)]
        other = letters[:]
        other[generator.randrange(90)] = "x"
        other[generator.randrange(90)] = "y"
        one, two = "".join(letters), "".join(other)
        if 0.8 <= jaccard(one, two) < 0.84:
            pairs.append((one, two))
    index = NearDuplicateIndex(0.8)
    assert [index.add(one) for one, _ in pairs] == list(range(60))
    assert [index.find(two) for _, two in pairs] == list(range(60))


def test_finds_nothing_among_different_texts() -> None:
    assert find([], SENTENCE) is None
    assert find(["the kettle sings in an empty kitchen", ""], SENTENCE) is None


def test_finds_the_first_of_several() -> None:
    assert find(["else", SENTENCE, NEAR, SENTENCE], SENTENCE) == 1


def test_pairs_contain_each_later_text_once() -> None:
    texts = [SENTENCE, "else", NEAR, "ELSE!", SENTENCE.upper(), "new"]
    assert near_duplicate_pairs(texts, 0.7) == [(0, 2), (1, 3), (0, 4)]
    assert near_duplicate_pairs([SENTENCE, NEAR, SENTENCE], 1.0) == [(0, 2)]


@given(
    st.text(st.characters(codec="ascii"), max_size=60),
    THRESHOLDS,
    st.sampled_from("!?,.;- "),
    st.sampled_from([str.upper, str.lower, str.swapcase, str.title]),
)
def test_finds_a_text_in_any_case_and_punctuation(
    text: str, similarity: float, mark: str, change: Callable[[str], str]
) -> None:
    again = mark + change(text).replace(" ", f"{mark} {mark}") + mark
    assert find(["quite another thing", text], again, similarity) == 1


@given(st.lists(SENTENCES, min_size=1, max_size=8), st.data())
def test_finds_what_is_certain_and_only_what_is_near(texts: list[str], data: st.DataObject) -> None:
    one_more = st.builds("{} {}".format, st.sampled_from(texts), WORDS)
    text = data.draw(st.one_of(SENTENCES, one_more, st.sampled_from(texts)))
    similarities = [jaccard(one, text) for one in texts]
    number = find(texts, text)
    if number is None:
        assert max(similarities) < CERTAIN
    else:
        assert similarities[number] >= THRESHOLD


@pytest.mark.parametrize(
    ("similarity", "text"), [(0.7, NEAR), (0.7, SENTENCE), (1.0, SENTENCE.upper() + "!")]
)
def test_leak_error_names_split_and_rows_but_not_the_text(similarity: float, text: str) -> None:
    evaluation = {"val": ["one row", "and another"], "test": ["a first", SENTENCE]}
    with pytest.raises(
        LeakError, match=r"training row 1 .* row 1 of the evaluation split test"
    ) as e:
        check_leaks(["harmless", text], evaluation, similarity)
    assert "funeral" not in str(e.value)
    assert "burial" not in str(e.value)


def test_accepts_training_texts_without_leak() -> None:
    check_leaks([SENTENCE, "harmless"], {"val": ["one row"], "test": []}, 0.7)
    check_leaks([NEAR], {"test": [SENTENCE]}, 1.0)
    check_leaks([], {"test": [SENTENCE]}, 0.7)
