"""Near-duplicate search over texts, and the leak check of a training mix.

Two texts are near-duplicates if the Jaccard similarity of their sets of character 5-grams reaches
a threshold. Candidates come from MinHash signatures in a locality-sensitive index (Broder 1997;
Leskovec et al., Mining of Massive Datasets, chapter 3), built with datasketch. Each candidate is
then compared exactly.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from datasketch import MinHash, MinHashLSH

from training.errors import LeakError

PERMUTATIONS = 128
MISSED = 1e-5  # highest probability that the index misses a pair at the threshold
NGRAM = 5
EMPTY = MinHash(num_perm=PERMUTATIONS)  # a copy costs less than to draw the permutations again


def normalize(text: str) -> str:
    """Reduce a text to its lower-case words: texts that are equal then count as the same."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def character_ngrams(text: str) -> frozenset[str]:
    """Return the character 5-grams of the normalized text, padded with a space at both ends."""
    padded = f" {normalize(text)} "
    count = max(len(padded) - NGRAM + 1, 1)
    return frozenset(padded[start : start + NGRAM] for start in range(count))


class NearDuplicateIndex:
    """Index of texts that finds near-duplicates of a text.

    Attributes:
        jaccard: similarity from which texts are near-duplicates; 1 finds equal texts only.
    """

    def __init__(self, jaccard: float) -> None:
        """Create an empty index."""
        self.jaccard = jaccard
        self._ngrams: list[frozenset[str]] = []
        self._equal: dict[str, int] = {}
        bands = band_shape(jaccard)
        self._index = MinHashLSH(num_perm=PERMUTATIONS, params=bands) if jaccard < 1 else None

    def find(self, text: str) -> int | None:
        """Return the number of the first near-duplicate, None if there is none."""
        equal = self._equal.get(normalize(text))
        if equal is not None or self._index is None:
            return equal
        ngrams = character_ngrams(text)
        candidates = self._index.query(_signature(ngrams))
        near = (number for number in candidates if self._is_near(ngrams, number))
        return min(near, default=None)

    def add(self, text: str) -> int:
        """Add a text and return its number, counted from 0."""
        ngrams = character_ngrams(text)
        number = len(self._ngrams)
        self._ngrams.append(ngrams)
        self._equal.setdefault(normalize(text), number)
        if self._index is not None:
            self._index.insert(number, _signature(ngrams))
        return number

    def _is_near(self, ngrams: frozenset[str], number: int) -> bool:
        other = self._ngrams[number]
        return len(ngrams & other) / len(ngrams | other) >= self.jaccard


def near_duplicate_pairs(texts: Sequence[str], jaccard: float) -> list[tuple[int, int]]:
    """Return positions `(earlier, later)` of near-duplicates; each later text appears once."""
    index = NearDuplicateIndex(jaccard)
    pairs = []
    for number, text in enumerate(texts):
        earlier = index.find(text)
        if earlier is not None:
            pairs.append((earlier, number))
        index.add(text)
    return pairs


def check_leaks(
    training: Iterable[str], evaluation: Mapping[str, Iterable[str]], jaccard: float
) -> None:
    """Raise LeakError if a training text is a near-duplicate of an evaluation text.

    The error names the evaluation split and the rows, never the text.
    """
    index = NearDuplicateIndex(jaccard)
    owners = []
    for split, texts in evaluation.items():
        for text in texts:
            index.add(text)
            owners.append(split)
    for number, text in enumerate(training):
        found = index.find(text)
        if found is not None:
            split = owners[found]
            row = found - owners.index(split)
            raise LeakError(
                f"training row {number} is a near-duplicate of row {row} of the evaluation split "
                f"{split}: remove it from the training data"
            )


def band_shape(jaccard: float) -> tuple[int, int]:
    """Return the number and the rows of the bands of an index for a similarity.

    A text that the index misses is never compared, and the leak check uses the same index as the
    removal of duplicates: what one misses, the other misses. So the bands are the longest that miss
    a pair of this similarity with at most the probability MISSED.
    """
    shapes = [(PERMUTATIONS // rows, rows) for rows in range(PERMUTATIONS, 0, -1)]
    return next(
        (shape for shape in shapes if miss_probability(jaccard, *shape) <= MISSED), shapes[-1]
    )


def miss_probability(jaccard: float, bands: int, rows: int) -> float:
    """Return the probability that two texts of a similarity share no band of an index."""
    return float((1 - jaccard**rows) ** bands)


def _signature(ngrams: frozenset[str]) -> MinHash:
    signature = EMPTY.copy()
    signature.update_batch([ngram.encode() for ngram in ngrams])
    return signature
