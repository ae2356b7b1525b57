"""Normalization: what detectors read of emoji, entities, invisible characters and odd words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text.normalize import MAX_WORD_LETTERS, normalize


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I got it!", "I got it!"),
        ("\U0001f62d", "loudly crying face"),
        ("ok\U0001f44d\U0001f3fd", "ok thumbs up"),  # with a skin tone
        ("\U0001f44d\U0001f3ff\U0001f44d", "thumbs up thumbs up"),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "family man woman girl"),  # joined
        ("\U0001f469\U0001f3fd\u200d\U0001f680", "woman astronaut"),
        ("\u2764\ufe0f", "red heart"),
        ("\U0001f1e9\U0001f1ea", "Germany"),
        ("Tom &amp; Jerry &#128557;", "Tom & Jerry loudly crying face"),
        ("\uff28\uff25\uff2c\uff30 \ufb01ne", "HELP fine"),  # full width, ligature
        ("kil\u200bl me\u00ad \u202enow\ufeff", "kill me now"),
        ("one\ttwo\r\n\x07three", "one two three"),
        ("nooooo sooo goooood", "no so good"),
        ("HELPPPP", "HELP"),
        ("I'll killll, misssss", "I'll kill, miss"),
        ("book, all, 1000, ...!!!", "book, all, 1000, ...!!!"),
    ],
)
def test_text_becomes_what_detectors_read(text: str, expected: str) -> None:
    assert normalize(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", " \n", "\u200b", "\u200d\ufeff", "&#8203;&nbsp;", "\u2800", "\u3164 \ufe0f", "\x00"],
)
def test_invisible_text_is_empty(text: str) -> None:
    assert normalize(text) == ""


@given(length=st.integers(MAX_WORD_LETTERS + 1, 500), tail=st.sampled_from(["", " end"]))
def test_endless_words_are_split_and_nothing_is_lost(length: int, tail: str) -> None:
    word = ("abcdefghij" * 50)[:length]
    normalized = normalize(word + tail)
    assert max(map(len, normalized.split())) <= MAX_WORD_LETTERS
    assert normalized.replace(" ", "") == (word + tail).replace(" ", "")


@given(text=st.text())
def test_nothing_invisible_is_left(text: str) -> None:
    once = normalize(text)
    assert once == once.strip()
    assert not any(character in once for character in "\u200b\u200d\ufeff\x00\n\t")
