"""Measures of answers, against cases computed by hand and plain counting."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.emotions import LABELS
from training.datasets.words import EMOTION_WORDS, words
from training.evaluation.text import distinct, has_echo, mask_emotion_words, repetition

MASKED = """
    sad Sadness sadly UNHAPPY grief grieving sorrow sorrowful heartbroken lonely joy joyful enjoyed
    happy happily happiest delighted glad thrilled excited love loved lovely loving adore dear
    affection cherished fondness tender anger angry angrily furious fury rage raging mad hate livid
    seething outraged fear fearful afraid scared scary terrified terrifying frightened dread
    dreading panic worried horrified surprise surprised astonished amazed shocked stunned startled
    flabbergasted speechless bewildered
"""
KEPT = """
    scarf scar glove gloves clover made madam ragged garage adorn Amazon terrific terrible cherry
    dearth sadist happen tears smile hat chat storage dragon nomad stung rejoin gladiator shore
    heart wonder fearn
"""
text = st.lists(st.sampled_from(["a", "b", "c", "it's", "Oh,", "-"]), max_size=14).map(" ".join)


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("", []),
        ("Oh no! It’s 3am, isn't it?", ["oh", "no", "it's", "3am", "isn't", "it"]),
        ("'quoted' -- well-known_thing…", ["quoted", "well", "known", "thing"]),
        ("Déjà VU", ["déjà", "vu"]),
    ],
)
def test_splits_text_into_words(sentence: str, found: list[str]) -> None:
    assert words(sentence) == found


def test_distinct_of_a_case_by_hand() -> None:
    assert distinct(["a b a", "B c"], 1) == 3 / 5
    assert distinct(["a b a", "a b"], 2) == 2 / 3  # ab, ba, ab: no n-gram spans two answers


def test_distinct_without_n_grams_is_zero() -> None:
    assert distinct([], 1) == 0
    assert distinct(["a"], 2) == 0


@given(st.lists(text, max_size=6))
def test_distinct_equals_plain_counting(texts: list[str]) -> None:
    pairs = [pair for each in texts for pair in pairwise(words(each))]
    assert distinct(texts, 2) == (len(set(pairs)) / len(pairs) if pairs else 0)


def test_repetition_of_a_case_by_hand() -> None:
    # "a b c d a b c d": abcd, bcda, cdab, dabc, abcd. One of five occurred before.
    assert repetition("A b c d, a b c d!") == pytest.approx(1 / 5)
    assert repetition("no no no no no no no") == pytest.approx(3 / 4)
    assert repetition("one two three four five six") == 0
    assert repetition("too short") == 0


@given(text)
def test_repetition_equals_plain_counting(sentence: str) -> None:
    found = words(sentence)
    grams = [tuple(found[start : start + 4]) for start in range(len(found) - 3)]
    repeated = sum(gram in grams[:position] for position, gram in enumerate(grams))
    assert repetition(sentence) == pytest.approx(repeated / len(grams) if grams else 0)


@pytest.mark.parametrize(
    ("answer", "echo"),
    [
        ("So THE DOG ate my whole birthday, cake and all!", True),
        ("The dog ate my whole cake.", False),
        ("The dog ate my whole", False),
        ("", False),
    ],
)
def test_echo_is_six_consecutive_words_of_the_message(answer: str, echo: bool) -> None:
    assert has_echo(answer, "The dog ate my whole birthday cake") is echo


def test_short_message_cannot_be_echoed() -> None:
    assert not has_echo("I am so tired", "I am so tired")


@given(text)
def test_text_of_six_words_echoes_itself(sentence: str) -> None:
    assert has_echo(sentence, sentence) is (len(words(sentence)) >= 6)


@pytest.mark.parametrize("word", MASKED.split())
def test_masks_word_that_names_an_emotion(word: str) -> None:
    assert mask_emotion_words(f"So {word}, then.") == "So something, then."


@pytest.mark.parametrize("word", KEPT.split())
def test_keeps_word_that_only_resembles_an_emotion_word(word: str) -> None:
    assert mask_emotion_words(f"The {word}!") == f"The {word}!"


@pytest.mark.parametrize(
    ("sentence", "masked"),
    [
        ("Joy's here, love’s gone", "something's here, something’s gone"),
        ("'Sad' or \"glad\"?", "'something' or \"something\"?"),
        ("a grief-stricken, _lovely_ day", "a something-stricken, _something_ day"),
        ("I don't fear it; she'd love it.", "I don't something it; she'd something it."),
        ("LOVE love Love", "something something something"),
        ("", ""),
    ],
)
def test_masks_words_in_a_sentence(sentence: str, masked: str) -> None:
    assert mask_emotion_words(sentence) == masked


def test_custom_mask_is_inserted_literally() -> None:
    assert mask_emotion_words("so sad", r"\1") == r"so \1"


ENTRIES = [word for table in EMOTION_WORDS.values() for word in table.split()]


@given(text, st.sampled_from(ENTRIES))
def test_masking_a_listed_word_twice_changes_nothing(around: str, word: str) -> None:
    sentence = f"{around} {word.replace('*', '')} {around}"
    once = mask_emotion_words(sentence)
    assert once == f"{around} something {around}"
    assert mask_emotion_words(once) == once


def test_every_emotion_has_words_and_no_word_is_listed_twice() -> None:
    assert tuple(EMOTION_WORDS) == LABELS
    assert len(ENTRIES) == len(set(ENTRIES))
    assert all(len(table.split()) > 30 for table in EMOTION_WORDS.values())
    assert all(word == word.lower() for word in ENTRIES)
    assert all(word.strip("*").replace("-", "").isalpha() for word in ENTRIES)


def test_masks_the_names_of_the_emotions() -> None:
    assert mask_emotion_words(" ".join(LABELS)) == " ".join(["something"] * 6)
