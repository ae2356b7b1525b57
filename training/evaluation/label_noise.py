"""How many of a detector's mistakes stand where the labels themselves disagree about the word that decides.

training rows -> how often each word stands under each label -> a text's most telling word -> is that word given two labels?

In a set that was labelled by its words, what the word's labels disagree about is not to be learnt: it bounds every detector.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from training.datasets.sources import Example
from training.report.schema import AmbiguousWords

LEAST_TEXTS = 5  # with the word; below that its shares say little
SECOND_SHARE = 0.25  # of a word's texts that carry its second label, from which the word is ambiguous


class LabelsOfWords:
    """How often each word stands under each label, over the rows of a training split."""

    def __init__(self, rows: Sequence[Example]) -> None:
        self.words: defaultdict[str, Counter[int]] = defaultdict(Counter)
        for row in rows:
            for word in set(row.text.split()):
                self.words[word][row.label] += 1
        counts = Counter(row.label for row in rows)
        self.shares = {label: count / len(rows) for label, count in sorted(counts.items())}

    def of_most_telling(self, text: str) -> Counter[int]:
        """The labels of the word whose shares lie furthest from the set's own (Kullback-Leibler); empty where no word is common enough."""
        known = [self.words[word] for word in sorted(set(text.split())) if self.words[word].total() >= LEAST_TEXTS]
        return max(known, key=self._divergence, default=Counter())

    def _divergence(self, counts: Counter[int]) -> float:
        """In nats, with half a text more under each label, so that a rare word does not stand above all."""
        shares = {label: (counts[label] + 0.5) / (counts.total() + 0.5 * len(self.shares)) for label in self.shares}
        return sum(share * math.log(share / self.shares[label]) for label, share in shares.items())


def ambiguous_words(words: LabelsOfWords, rows: Sequence[Example], predicted: Sequence[int]) -> AmbiguousWords:
    """Where the mistakes of these predictions stand."""
    found = [(words.of_most_telling(row.text), row.label, guess) for row, guess in zip(rows, predicted, strict=True)]
    unclear = [(counts, label, guess) for counts, label, guess in found if is_ambiguous(counts)]
    mistakes = sum(label != guess for _, label, guess in unclear)
    return AmbiguousWords(
        rows=len(unclear),
        mistakes=mistakes,
        mistakes_of_commonest_label=sum(counts.most_common(1)[0][0] != label for counts, label, _ in unclear),
        mistakes_elsewhere=sum(label != guess for _, label, guess in found) - mistakes,
    )


def is_ambiguous(counts: Counter[int]) -> bool:
    return len(counts) > 1 and counts.most_common(2)[1][1] >= SECOND_SHARE * counts.total()
