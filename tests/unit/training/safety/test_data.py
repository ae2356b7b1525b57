"""Rows of the safety classifier: outcomes, split, leaks, and messages within other texts."""

from collections import Counter
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from models.prompt import Turn
from models.safety.levels import CONCERN, CRISES
from models.safety.windows import WindowEncoder
from models.weights.cache import materialize
from training.safety.data import (
    FILES,
    RISK_WORDS,
    Row,
    load_harm_rows,
    load_ordinary_rows,
    load_rows,
    ordinary_row,
    split,
    without_near_duplicates,
)
from training.safety.embedding import embed, training_windows
from training.safety.lengths import LENGTHS, PLACES, ordinary_text, within_text

SIGNAL = Row((Turn("user", "I took all the tablets."),), frozenset({2}), "recent_act")
FILLERS = ["The bus was late again and I missed the start.", "We had soup, then cake."]


@pytest.fixture(scope="module")
def encoder() -> WindowEncoder:
    folder: Path = materialize("minilm-l6").folder
    return WindowEncoder(Tokenizer.from_file(str(folder / "tokenizer.json")))


def test_every_file_has_rows_with_one_outcome() -> None:
    rows = [row for name in (*FILES, "test") for row in load_rows(name)]
    assert {len(row.outcomes) for row in rows} == {1}
    assert {row.finding for row in rows} == {None, CONCERN, *CRISES}
    assert all(row.turns[-1].role == "user" for row in rows)


def test_level_of_the_older_messages_is_open() -> None:
    outcomes = {row.outcomes for row in load_harm_rows()}
    assert outcomes == {frozenset({0}), frozenset({1, 2}), frozenset({1, 3})}


def test_ordinary_rows_have_no_word_of_risk() -> None:
    rows = load_ordinary_rows(200, seed=1)
    assert not any(RISK_WORDS.search(row.text) for row in rows)
    assert rows == load_ordinary_rows(200, seed=1) != load_ordinary_rows(200, seed=2)


def test_split_is_by_row_and_keeps_the_shares() -> None:
    rows = [ordinary_row(f"text {number}", "short") for number in range(100)]
    rows += [Row((Turn("user", f"harm {n}"),), frozenset({2}), "explicit") for n in range(20)]
    training, validation = split(rows, 0.15, seed=0)
    assert Counter(row.kind for row in validation) == {"short": 15, "explicit": 3}
    assert {row.text for row in training}.isdisjoint(row.text for row in validation)
    assert len(training) + len(validation) == len(rows)


def test_near_duplicates_of_test_rows_are_left_out() -> None:
    near = ordinary_row("I took all of the tablets!", "short")
    other = ordinary_row("We had soup, then cake, then a nap.", "short")
    test = [ordinary_row("I took all of the tablets.", "test")]
    assert without_near_duplicates([near, other], test) == [other]


def test_half_of_the_embedded_rows_have_a_signal_and_all_keep_their_message() -> None:
    harmless = ordinary_row("Nice weather today.", "short")
    rows = embed([SIGNAL, harmless], FILLERS, count=20, seed=0)
    assert Counter(row.kind for row in rows) == {"embedded recent_act": 10, "embedded short": 10}
    for row in rows:
        message = SIGNAL if row.kind.endswith("act") else harmless
        assert message.text in row.text
        assert row.outcomes == message.outcomes
        assert len(row.text) > 2 * len(message.text)
    assert len({row.text.index(SIGNAL.text) for row in rows[::2]}) > 5


@pytest.mark.parametrize("where", PLACES)
def test_window_of_a_long_row_is_the_one_with_its_signal(
    encoder: WindowEncoder, where: str
) -> None:
    filler = " ".join(FILLERS * 12)
    texts = {
        "first": f"{SIGNAL.text} {filler}",
        "middle": f"{filler} {SIGNAL.text} {filler}",
        "last": f"{filler} {SIGNAL.text}",
    }
    row = Row((Turn("user", texts[where]),), SIGNAL.outcomes, "long", where)
    [window] = training_windows(encoder, row)
    signal = encoder.encode(SIGNAL.turns).windows[0].ids[1:-1]
    ids = window.ids
    assert any(ids[i : i + len(signal)] == signal for i in range(len(ids)))


@pytest.mark.parametrize("length", LENGTHS)
def test_test_messages_are_shown_at_each_length_and_place(length: int) -> None:
    texts = [within_text(SIGNAL, length, place, seed=3).text for place in PLACES]
    assert [SIGNAL.text in text for text in texts] == [True] * 3
    assert all(length - 250 < len(text) <= length for text in texts)
    places = [text.index(SIGNAL.text) for text in texts]
    assert places == sorted(places)
    assert length - 250 < len(ordinary_text(length, seed=3).text) <= length
