"""Response selection: does the encoder pick the true message among 50, and the true answer?

Candidates are the 40 of the persona, so that the emotion alone does not give the answer away, and
10 of other personas. A candidate that is as similar as the true one counts as chosen instead: a
system that gives one answer to everything gets no credit for it.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

import torch

from models.emotions import Emotion

CANDIDATES = 50
SEED = 0


class Ranks(NamedTuple):
    """Rank of the true candidate for each row, from 1; ties count against it."""

    message: list[int]  # of the true message, given the answer
    answer: list[int]  # of the true answer, given the message


def candidate_rows(personas: Sequence[Emotion], count: int = CANDIDATES) -> list[list[int]]:
    """Choose the candidates of each row: itself first, then rows of its persona, then others.

    `personas` has the persona of each row. The same rows are chosen in every call.
    """
    generator = random.Random(SEED)
    chosen = []
    for row, persona in enumerate(personas):
        own = [other for other, label in enumerate(personas) if label is persona and other != row]
        others = [other for other, label in enumerate(personas) if label is not persona]
        generator.shuffle(own)
        generator.shuffle(others)
        chosen.append([row, *own[: count - 1], *others[: max(count - 1 - len(own), 0)]])
    return chosen


def select(messages: torch.Tensor, answers: torch.Tensor, candidates: list[list[int]]) -> Ranks:
    """Rank the true candidates by the similarity of unit vectors `(rows, hidden)`."""
    similarity = answers @ messages.T
    return Ranks(
        message=[_rank(similarity[row[0], row]) for row in candidates],
        answer=[_rank(similarity[row, row[0]]) for row in candidates],
    )


def _rank(similarities: torch.Tensor) -> int:
    """Return the rank of the first of the candidates."""
    return int((similarities[1:] >= similarities[0] - 1e-6).sum()) + 1


def mean_reciprocal_rank(ranks: Sequence[int]) -> float:
    """Return the mean of 1 / rank. Raises ZeroDivisionError if there are no ranks."""
    return sum(1 / rank for rank in ranks) / len(ranks)
