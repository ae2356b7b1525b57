"""Cost of texts, and the pieces of a large call."""

from hypothesis import given
from hypothesis import strategies as st

from serve.config import FEWEST_TOKENS
from serve.detector.protocol import split_texts, tokens_of

LENGTHS = st.lists(st.integers(0, 4000), max_size=60)


def test_a_text_costs_its_length_and_never_nothing() -> None:
    assert [tokens_of("a" * length) for length in (0, 256, 260, 4000)] == [64, 64, 65, 1000]


@given(lengths=LENGTHS, max_texts=st.integers(1, 32), max_tokens=st.integers(1, 4096))
def test_pieces_keep_the_order_and_the_limits(
    lengths: list[int], max_texts: int, max_tokens: int
) -> None:
    texts = [f"{number:03}" + "a" * length for number, length in enumerate(lengths)]
    pieces = list(split_texts(texts, max_texts, max_tokens))
    assert [text for piece in pieces for text in piece] == texts
    for piece in pieces:
        assert 1 <= len(piece) <= max_texts
        assert len(piece) == 1 or sum(map(tokens_of, piece)) <= max_tokens


def test_short_texts_fill_a_piece() -> None:
    pieces = split_texts(["a"] * 70, 32, 32 * FEWEST_TOKENS)
    assert [len(piece) for piece in pieces] == [32, 32, 6]
