"""Response selection with vectors whose similarities are known."""

import pytest
import torch

from models.emotions import LABELS, Emotion
from training.evaluation.sense.selection import candidate_rows, mean_reciprocal_rank, select

PERSONAS = [persona for persona in LABELS for _ in range(40)]


def test_candidates_are_the_row_its_persona_and_ten_others() -> None:
    candidates = candidate_rows(PERSONAS)
    assert candidates == candidate_rows(PERSONAS)
    for row, own in enumerate(candidates):
        assert own[0] == row
        assert len(set(own)) == len(own) == 50
        assert sum(PERSONAS[other] is PERSONAS[row] for other in own) == 40
    assert len({tuple(own[40:]) for own in candidates}) > 200


def test_fewer_rows_than_candidates_are_all_chosen() -> None:
    assert [sorted(own) for own in candidate_rows([Emotion.JOY, Emotion.FEAR])] == [[0, 1]] * 2


def test_rank_of_the_true_message_and_answer() -> None:
    messages = torch.eye(3)
    # The first answer fits its message best, the second one fits the first message better, and
    # the third one fits no message.
    answers = torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.4, 0.0], [0.1, 0.2, 0.0]])
    ranks = select(messages, answers, [[0, 1, 2], [1, 0, 2], [2, 0, 1]])
    assert ranks.message == [1, 2, 3]
    assert ranks.answer == [1, 1, 3]


def test_one_answer_to_everything_is_never_picked() -> None:
    messages = torch.eye(4)
    ranks = select(messages, torch.full((4, 4), 0.5), candidate_rows([Emotion.JOY] * 4))
    assert ranks.message == ranks.answer == [4, 4, 4, 4]


def test_mean_reciprocal_rank() -> None:
    assert mean_reciprocal_rank([1, 2, 4]) == pytest.approx(7 / 12)
