"""Windows: every token of a conversation is in one, with its speaker, and text is only text."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from models.errors import ArtifactError
from models.prompt import Turn
from models.safety.windows import MAX_TOKENS, OVERLAP, PERSONA, USER, WindowEncoder, _window_ends
from support.tokenizers import byte_tokenizer

CLS, SEP = 2, 3


@pytest.fixture
def encoder(base: Path) -> WindowEncoder:
    return WindowEncoder(Tokenizer.from_file(str(base / "tokenizer.json")))


def test_short_text_is_one_window(encoder: WindowEncoder) -> None:
    encoded = encoder.encode([Turn("user", "a b NOW")])
    [window] = encoded.windows
    assert window.ids == (CLS, 4, 5, 8, SEP)
    assert window.types == (USER,) * 5
    assert encoded.complete


def test_emoji_are_read_as_words(encoder: WindowEncoder) -> None:
    [window] = encoder.encode([Turn("user", "\U0001f62d")]).windows
    assert window.ids == (CLS, 9, 10, 11, SEP)


def test_types_say_who_spoke(encoder: WindowEncoder) -> None:
    turns = [Turn("user", "a"), Turn("assistant", "b c"), Turn("user", "d")]
    [window] = encoder.encode(turns).windows
    assert window.ids == (CLS, 4, SEP, 5, 6, SEP, 7, SEP)
    assert window.types == (USER, USER, USER, PERSONA, PERSONA, PERSONA, USER, USER)


def test_text_cannot_forge_a_separator(encoder: WindowEncoder) -> None:
    [window] = encoder.encode([Turn("user", "a [SEP] b")]).windows
    assert window.ids.count(SEP) == 1


def test_windows_of_the_persona_alone_are_left_out(encoder: WindowEncoder) -> None:
    turns = [Turn("user", "a"), Turn("assistant", "b " * 500), Turn("user", "d")]
    encoded = encoder.encode(turns)
    assert all(USER in window.types[1:-1] for window in encoded.windows)
    assert len(encoded.windows) == 2


def test_budget_keeps_the_newest_tokens_and_says_so(encoder: WindowEncoder) -> None:
    turns = [Turn("user", "a " * 300), Turn("assistant", "b"), Turn("user", "d " * 50)]
    encoded = encoder.encode(turns, budget=100)
    assert not encoded.complete
    assert encoded.windows[-1].ids[-2] == 7
    assert sum(window.ids.count(7) for window in encoded.windows) >= 50
    assert encoder.encode(turns, budget=1000).complete


@given(tokens=st.integers(1, 2000))
def test_windows_cover_all_tokens_and_overlap(tokens: int) -> None:
    windows = [(end - size, end) for end, size in _window_ends(tokens)]
    assert windows[0][0] == 0
    assert windows[-1][1] == tokens
    assert all(end - start <= MAX_TOKENS - 2 for start, end in windows)
    assert all(later[0] <= earlier[1] - OVERLAP for earlier, later in pairwise(windows))


def test_other_tokenizers_are_an_error() -> None:
    with pytest.raises(ArtifactError):
        WindowEncoder(byte_tokenizer())
