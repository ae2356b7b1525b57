"""Formula in the answers of one arm: phrases that return, and answers that are alike."""

import math
from collections import Counter
from collections.abc import Sequence

from training.datasets.words import word_ngrams, words

BLEU_WORDS = 4


def most_frequent_trigram(texts: Sequence[str]) -> tuple[str, float]:
    """Return the three words in a row that most texts contain, and the share of these texts.

    Among equals it is the first in the alphabet; without any, an empty string and 0.
    """
    counted = Counter(gram for text in texts for gram in set(word_ngrams(text, 3)))
    if not counted:
        return "", 0.0
    gram, count = min(counted.items(), key=lambda item: (-item[1], item[0]))
    return " ".join(gram), count / len(texts)


def self_bleu(texts: Sequence[str]) -> float:
    """Return the mean BLEU-4 of each text against all others; 1 if they are all alike.

    See Zhu et al. 2018, https://arxiv.org/abs/1802.01886. Precisions are smoothed as in Lin and Och
    2004: one is added to the counts of more than one word. Texts are answers to different
    messages. The result is 0 for fewer than two texts.
    """
    if len(texts) < 2:
        return 0.0
    counted = [[Counter(word_ngrams(text, n + 1)) for n in range(BLEU_WORDS)] for text in texts]
    highest = [_two_highest([own[n] for own in counted]) for n in range(BLEU_WORDS)]
    lengths = [len(words(text)) for text in texts]
    scores = []
    for row, own in enumerate(counted):
        others = lengths[:row] + lengths[row + 1 :]
        scores.append(_bleu(own, highest, lengths[row], others))
    return sum(scores) / len(scores)


_Gram = tuple[str, ...]
_Highest = dict[_Gram, tuple[int, int]]


def _two_highest(counted: Sequence[Counter[_Gram]]) -> _Highest:
    """Return the two highest counts of each n-gram in one text.

    Without the text that has the highest count, the second one is the highest of the others.
    """
    highest: _Highest = {}
    for counts in counted:
        for gram, count in counts.items():
            first, second = highest.get(gram, (0, 0))
            highest[gram] = (max(first, count), max(second, min(first, count)))
    return highest


def _bleu(
    own: Sequence[Counter[_Gram]], highest: Sequence[_Highest], length: int, others: list[int]
) -> float:
    if not length:
        return 0.0
    logs = 0.0
    for n, counts in enumerate(own):
        matches = sum(
            min(count, _highest_of_others(highest[n][gram], count))
            for gram, count in counts.items()
        )
        smoothing = int(n > 0)
        if not matches + smoothing:
            return 0.0
        logs += math.log((matches + smoothing) / (counts.total() + smoothing))
    closest = min(others, key=lambda other: (abs(other - length), other))
    penalty = min(1.0, math.exp(1 - closest / length))
    return penalty * math.exp(logs / BLEU_WORDS)


def _highest_of_others(highest: tuple[int, int], count: int) -> int:
    first, second = highest
    return second if count == first else first
