"""Measures of sense of each arm, over the answers of all personas."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from models.emotions import Emotion
from training.evaluation.intervals import wilson_interval
from training.evaluation.sense.encoder import SentenceEncoder
from training.evaluation.sense.formula import most_frequent_trigram, self_bleu
from training.evaluation.sense.selection import (
    candidate_rows,
    mean_reciprocal_rank,
    select,
)
from training.evaluation.text import distinct
from training.report.schema import SenseReport, SenseResult

ENCODER = "mpnet-base"  # no persona, judge or critic is trained from it or chosen with it


class Answered(NamedTuple):
    """A message and the answer of an arm."""

    message: str
    answer: str


Arms = Mapping[str, Mapping[Emotion, Sequence[Answered]]]


def sense_report(encoder: SentenceEncoder, name: str, arms: Arms) -> SenseReport:
    """Measure every arm. Each has an answer to the same messages of each persona."""
    return SenseReport(
        encoder=name,
        arms={arm: sense_result(encoder, personas) for arm, personas in arms.items()},
    )


def sense_result(
    encoder: SentenceEncoder, personas: Mapping[Emotion, Sequence[Answered]]
) -> SenseResult:
    """Measure the answers of one arm."""
    rows = [(persona, each) for persona, own in personas.items() for each in own]
    texts = [each.answer for _, each in rows]
    candidates = candidate_rows([persona for persona, _ in rows])
    messages: torch.Tensor = encoder.vectors([each.message for _, each in rows])
    ranks = select(messages, encoder.vectors(texts), candidates)
    trigram, share = most_frequent_trigram(texts)
    own_texts = [[each.answer for each in own] for own in personas.values()]
    return SenseResult(
        answers=len(rows),
        candidates=len(candidates[0]),
        message_p1=wilson_interval([rank == 1 for rank in ranks.message]),
        message_mrr=mean_reciprocal_rank(ranks.message),
        answer_p1=wilson_interval([rank == 1 for rank in ranks.answer]),
        answer_mrr=mean_reciprocal_rank(ranks.answer),
        trigram=trigram,
        trigram_share=share,
        distinct_2=distinct(texts, 2),
        self_bleu=sum(map(self_bleu, own_texts)) / len(own_texts),
    )
