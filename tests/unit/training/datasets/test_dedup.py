"""Near-duplicates, against the Jaccard similarity of 5-grams as it is defined, and the leak check."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.datasets.dedup import NearIndex, check_leaks, grams, near_pairs, words_alone
from training.errors import LeakError

SENTENCE = "they gave my desk away while i was at the funeral of my own mother"
ALIKE = SENTENCE.replace("funeral", "burial")
WORDS = st.sampled_from(["queue", "door", "rain", "sister", "bread", "kettle", "garden", "train", "night", "letter"])
SENTENCES = st.lists(WORDS, min_size=4, max_size=9, unique=True).map(" ".join)
THRESHOLD = 0.6
SURELY = 0.85  # so alike that the index, which only estimates, must not miss it


def five_grams(text: str) -> set[str]:
    padded = f" {text} "
    return {padded[i : i + 5] for i in range(len(padded) - 4)}


def jaccard(one: str, other: str) -> float:
    both = five_grams(one), five_grams(other)
    return len(both[0] & both[1]) / len(both[0] | both[1])


def found(texts: list[str], text: str, similarity: float = THRESHOLD) -> int | None:
    index = NearIndex(similarity)
    assert [index.add(one) for one in texts] == list(range(len(texts)))
    return index.find(text)


def test_words_alone_have_no_case_punctuation_or_spacing() -> None:
    assert words_alone("  Hang on -- you_speak\tFinnish?! ") == "hang on you speak finnish"
    assert words_alone("?!") == ""


def test_grams_are_those_of_the_padded_words() -> None:
    assert grams("Oh, you!") == {" oh y", "oh yo", "h you", " you "}
    assert grams("a") == {" a "}


def test_an_equal_text_is_found_at_any_threshold() -> None:
    for similarity in (0.3, 0.8, 1.0):
        assert found(["something else", SENTENCE], SENTENCE, similarity) == 1


def test_an_alike_text_is_found_below_its_similarity_alone() -> None:
    similarity = jaccard(SENTENCE, ALIKE)
    assert 0.75 < similarity < 0.85
    assert found([SENTENCE], ALIKE, similarity - 0.01) == 0
    assert found([SENTENCE], ALIKE, similarity + 0.01) is None
    assert found([SENTENCE], ALIKE, 1.0) is None


def test_nothing_is_found_where_nothing_is_alike() -> None:
    assert found([], SENTENCE) is None
    assert found(["the kettle sings in an empty kitchen", ""], SENTENCE) is None


def test_the_first_of_several_is_found() -> None:
    assert found(["else", SENTENCE, ALIKE, SENTENCE], SENTENCE) == 1


def test_pairs_name_each_later_text_once() -> None:
    assert near_pairs([SENTENCE, "else", ALIKE, "ELSE!", SENTENCE.upper(), "new"], 0.7) == [(0, 2), (1, 3), (0, 4)]
    assert near_pairs([SENTENCE, ALIKE, SENTENCE], 1.0) == [(0, 2)]


@given(st.text(st.characters(codec="ascii"), max_size=60), st.sampled_from([0.5, 0.8, 1.0]), st.sampled_from("!?,.;- "), st.data())
def test_a_text_is_its_own_duplicate_however_it_is_written(text: str, similarity: float, mark: str, data: st.DataObject) -> None:
    change = data.draw(st.sampled_from([str.upper, str.lower, str.swapcase, str.title]))
    again = mark + change(text).replace(" ", f"{mark} {mark}") + mark
    assert found(["quite another thing", text], again, similarity) == 1


@given(st.lists(SENTENCES, min_size=1, max_size=8), st.data())
def test_what_is_found_is_alike_and_what_is_surely_alike_is_found(texts: list[str], data: st.DataObject) -> None:
    one_more = st.builds("{} {}".format, st.sampled_from(texts), WORDS)
    text = data.draw(st.one_of(SENTENCES, one_more, st.sampled_from(texts)))
    near = [jaccard(one, text) for one in texts]
    number = found(texts, text)
    if number is None:
        assert max(near) < SURELY
    else:
        assert near[number] >= THRESHOLD


@pytest.mark.parametrize(("similarity", "text"), [(0.7, ALIKE), (0.7, SENTENCE), (1.0, SENTENCE.upper() + "!")])
def test_a_leak_is_named_by_split_and_row_and_not_shown(similarity: float, text: str) -> None:
    evaluation = {"val": ["one row", "and another"], "test": ["a first", SENTENCE]}
    with pytest.raises(LeakError) as caught:
        check_leaks(["harmless", text], evaluation, similarity)
    assert str(caught.value) == "training row 1 stands in the evaluation split test, as its row 1"


def test_no_leak_is_no_error() -> None:
    check_leaks([SENTENCE, "harmless"], {"val": ["one row"], "test": []}, 0.7)
    check_leaks([ALIKE], {"test": [SENTENCE]}, 1.0)
    check_leaks([], {"test": [SENTENCE]}, 0.7)
