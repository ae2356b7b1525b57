"""Counts of a version's answers."""

from serve.adapters.tally import Tally


def test_counts_of_several_answers_are_added() -> None:
    total = (
        Tally.error()
        + Tally.answer(tokens=3, cut=True)
        + Tally.answer(tokens=4, cut=False)
        + Tally.limited_answer()
        + Tally.emotion(other=True)
        + Tally.emotion(other=False)
    )
    lengths = {"limited": 1, "cut": 1, "tokens": 7, "squared_tokens": 25}
    assert total == Tally(answers=4, errors=1, **lengths, classified=2, other_emotion=1)
    assert total.written == 2
