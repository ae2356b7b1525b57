"""Measures of a critic: AUC, and how often it picks an answer that readers call good."""

from collections.abc import Sequence

from scipy.stats import rankdata

from models.schema import FrozenModel
from training.datasets.read_labels import LabelledAnswer
from training.evaluation.intervals import wilson_interval
from training.report.schema import Interval


class Picks(FrozenModel):
    """Choices among several answers to one message.

    Attributes:
        messages: messages with at least one good answer among those that readers marked.
        critic: share of them for which the critic's first choice is good.
        chance: share that a random choice would reach.
    """

    messages: int
    critic: Interval
    chance: float


def auc(scores: Sequence[float], good: Sequence[bool]) -> float | None:
    """Return the area under the ROC curve, ties counted half; None without both classes.

    It is the probability that a good answer scores higher than a bad one (Mann and Whitney 1947,
    https://doi.org/10.1214/aoms/1177730491).
    """
    positives = sum(good)
    negatives = len(good) - positives
    if not positives or not negatives:
        return None
    ranks = rankdata(scores)
    above = sum(rank for rank, is_good in zip(ranks, good, strict=True) if is_good)
    return float((above - positives * (positives + 1) / 2) / (positives * negatives))


def picks(labelled: Sequence[LabelledAnswer], scores: Sequence[float]) -> Picks | None:
    """Measure the first choice among the answers to each message; None if none has a good one.

    Messages with a single answer do not count. Of answers with equal scores the first is chosen.
    """
    groups: dict[tuple[str, str], list[tuple[float, bool]]] = {}
    for each, score in zip(labelled, scores, strict=True):
        groups.setdefault((each.persona, each.message), []).append((score, each.makes_sense))
    choices = [own for own in groups.values() if len(own) > 1 and any(good for _, good in own)]
    if not choices:
        return None
    chosen = [max(own, key=lambda each: each[0])[1] for own in choices]
    random = [sum(good for _, good in own) / len(own) for own in choices]
    return Picks(
        messages=len(choices),
        critic=wilson_interval(chosen),
        chance=sum(random) / len(random),
    )
