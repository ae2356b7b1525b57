"""Measures of a critic, on scores computed by hand."""

import pytest

from models.emotions import Emotion
from training.critic.measures import auc, picks
from training.datasets.read_labels import LabelledAnswer, Mark


def answers(message: str, marks: list[Mark]) -> list[LabelledAnswer]:
    return [
        LabelledAnswer(persona=Emotion.JOY, message=message, answer=f"{number}", mark=mark)
        for number, mark in enumerate(marks)
    ]


def test_auc_is_the_share_of_ordered_pairs() -> None:
    assert auc([0.9, 0.8, 0.2, 0.1], [True, True, False, False]) == 1
    assert auc([0.9, 0.8, 0.2, 0.1], [True, False, True, False]) == 0.75
    assert auc([0.5, 0.5], [True, False]) == 0.5
    assert auc([0.5, 0.6], [True, True]) is None
    assert auc([], []) is None


def test_picks_count_messages_that_have_a_good_answer() -> None:
    rows = [
        *answers("picked", [0, 2, 0, 0]),
        *answers("missed", [0, 1]),
        *answers("without a good one", [0, 0]),
        *answers("with a single answer", [2]),
    ]
    scores = [0.1, 0.9, 0.3, 0.2, 0.8, 0.1, 0.5, 0.4, 0.9]
    found = picks(rows, scores)
    assert found is not None
    assert found.messages == 2
    assert found.critic.value == 0.5
    assert found.chance == pytest.approx((1 / 4 + 1 / 2) / 2)


def test_there_are_no_picks_without_a_good_answer() -> None:
    assert picks(answers("m", [0, 0]), [0.1, 0.2]) is None
    assert picks([], []) is None
