"""Label noise: count a detector's errors on texts whose most informative word has two labels.

training rows -> labels of each word -> most informative word of a text -> does it have two labels?

If a set was labelled by its words, the labels of an ambiguous word cannot be learned. They limit
the accuracy of every detector on that set.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from training.datasets.sources import Example
from training.report.schema import LabelNoise

MIN_TEXTS = 5  # that contain the word; with fewer its label shares are unreliable
MIN_SECOND_SHARE = 0.25  # of a word's texts with its second label, from which it is ambiguous


class WordLabelCounts:
    """Number of texts per word and label, over the rows of a training split."""

    def __init__(self, rows: Sequence[Example]) -> None:
        self.counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
        for row in rows:
            for word in set(row.text.split()):
                self.counts[word][row.label] += 1
        totals = Counter(row.label for row in rows)
        self.label_shares = {label: total / len(rows) for label, total in sorted(totals.items())}

    def most_informative(self, text: str) -> Counter[int]:
        """Return the label counts of the text's most informative word.

        It is the word whose label shares differ most from those of the split (Kullback-Leibler).
        The result is empty if no word is frequent enough.
        """
        candidates = [self.counts[word] for word in sorted(set(text.split()))]
        frequent = [counts for counts in candidates if counts.total() >= MIN_TEXTS]
        return max(frequent, key=self._divergence, default=Counter())

    def _divergence(self, counts: Counter[int]) -> float:
        """Return the divergence from the shares of the split, in nats.

        Half a text is added under each label, so that rare words do not always win.
        """
        total = counts.total() + 0.5 * len(self.label_shares)
        shares = {label: (counts[label] + 0.5) / total for label in self.label_shares}
        return sum(
            share * math.log(share / self.label_shares[label]) for label, share in shares.items()
        )


def label_noise(
    words: WordLabelCounts, rows: Sequence[Example], predicted: Sequence[int]
) -> LabelNoise:
    """Count the errors of `predicted` in rows with an ambiguous word, and elsewhere."""
    informative = [words.most_informative(row.text) for row in rows]
    results = list(zip(informative, rows, predicted, strict=True))
    ambiguous = [each for each in results if is_ambiguous(each[0])]
    mistakes = sum(row.label != guess for _, row, guess in ambiguous)
    return LabelNoise(
        rows=len(ambiguous),
        mistakes=mistakes,
        mistakes_of_commonest_label=sum(
            counts.most_common(1)[0][0] != row.label for counts, row, _ in ambiguous
        ),
        mistakes_elsewhere=sum(row.label != guess for _, row, guess in results) - mistakes,
    )


def is_ambiguous(counts: Counter[int]) -> bool:
    """Tell if a word's second label has at least `MIN_SECOND_SHARE` of its texts."""
    return len(counts) > 1 and counts.most_common(2)[1][1] >= MIN_SECOND_SHARE * counts.total()
