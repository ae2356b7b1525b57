"""Word wrap of a stream: any cut of the text gives the same lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from serve.cli.chat.wrapping import WordWrap


def wrapped(parts: list[str], width: int, indent: int = 0, column: int = 0) -> str:
    wrap = WordWrap(width, indent, column)
    return "".join(map(wrap.feed, parts)) + wrap.flush()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one two", "one two"),
        ("one two three", "one two\n  three"),
        ("abcdefghijkl", "abcdef\n  ghijkl"),
        ("on\ntwo", "on\n  two"),
        ("日本語日本語", "日本語\n  日本語"),
        ("one  two ", "one  two"),
    ],
)
def test_wraps_at_words_and_indents(text: str, expected: str) -> None:
    lines = wrapped([text], 8, indent=2)
    assert lines == expected


def test_the_first_line_is_shorter_by_what_stands_in_it() -> None:
    assert wrapped(["one two"], 8, column=4) == "one\ntwo"
    assert wrapped(["onetwo"], 8, column=4) == "\nonetwo"


@given(st.lists(st.text(alphabet="ab 日\n", max_size=9), max_size=9), st.integers(4, 12))
def test_parts_give_the_lines_of_the_whole_and_none_is_too_wide(
    parts: list[str], width: int
) -> None:
    text = wrapped(parts, width, indent=1)
    assert text == wrapped(["".join(parts)], width, indent=1)
    assert all(cell_len(line) <= width for line in text.split("\n"))
    assert "".join(text.split()) == "".join("".join(parts).split())
