"""Normalization: what detectors read of emoji, entities, invisible characters and odd words."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text.normalize import JOINER, MAX_WORD_LETTERS, is_visible, normalize


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


# The rule in two patterns, of which the first takes a time that grows with the square of a run.
ENDS = re.compile(r"([^\W\d_])\1{2,}(?![^\W\d_])", re.IGNORECASE)
RUNS = re.compile(r"([^\W\d_])\1{2,}", re.IGNORECASE)


def shortened(text: str) -> str:
    text = ENDS.sub(lambda match: match[1] * (2 if match[1] in "lsLS" else 1), text)
    return RUNS.sub(r"\1\1", text)


@given(st.text(alphabet="aAlLsSkK\u017f\u03c3\u03c2 .1_\u2160", max_size=40))
def test_runs_are_shortened_by_the_rule(text: str) -> None:
    # Invisible characters and wide forms have other tests; here NFKC happens before the rule.
    visible = normalize(text.replace("\u2160", "I").replace("\u017f", "s"))
    expected = shortened(text.replace("\u2160", "I").replace("\u017f", "s"))
    assert visible == " ".join(expected.split())


@pytest.mark.parametrize("run", ["a" * 200_000, "\u2162" * 66_000])
def test_long_runs_take_a_time_that_grows_with_their_length(run: str) -> None:
    # With a time that grows with the square, each of these would take hours.
    assert normalize(f"{run}b")[1:] in {"ab", "Ib"}


def test_long_chains_of_joined_emoji_take_a_time_that_grows_with_their_length() -> None:
    assert normalize(f"\U0001f468{JOINER}" * 30_000) == " ".join(["man"] * 30_000)


def test_emoji_in_the_same_word_are_joined() -> None:
    family = JOINER.join("\U0001f468\U0001f469\U0001f467")
    assert normalize(f"we{family}{family}!") == "we " + "family man woman girl " * 2 + "!"


def test_a_number_of_a_character_may_have_any_length() -> None:
    assert normalize("a&#" + "9" * 5000 + ";b") == "a\ufffdb"


INVISIBLE = "\u200b \n\ufe0f\u3164\u2800&#8203;&nbsp;\U0001f3fd"


@given(st.text(alphabet=f"{INVISIBLE}\u20e3\u0301a\U0001f44d"))
def test_a_text_is_visible_if_anything_is_left_of_it(text: str) -> None:
    assert is_visible(text) == bool(normalize(text))


@given(st.text())
def test_any_text_is_visible_if_anything_is_left_of_it(text: str) -> None:
    assert is_visible(text) == bool(normalize(text))
