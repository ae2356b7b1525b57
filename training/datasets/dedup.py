"""Finds texts that are the same but for a few letters, and refuses a training mix that holds an evaluation text.

Two texts are near-duplicates when the Jaccard similarity of their sets of character 5-grams reaches a threshold. Candidates come from
MinHash signatures in a locality-sensitive index (Broder 1997; Leskovec et al., Mining of Massive Datasets, chapter 3), as datasketch
builds them; each candidate is then compared exactly.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from datasketch import MinHash, MinHashLSH

from training.errors import LeakError

PERMUTATIONS = 64
GRAM = 5


def words_alone(text: str) -> str:
    """A text without case, punctuation and spacing: what equality is decided by."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def grams(text: str) -> frozenset[str]:
    padded = f" {words_alone(text)} "
    return frozenset(padded[start : start + GRAM] for start in range(max(len(padded) - GRAM + 1, 1)))


class NearIndex:
    """Texts, found again by any text whose 5-grams are alike. `jaccard` of 1 finds equal texts only."""

    def __init__(self, jaccard: float) -> None:
        self.jaccard = jaccard
        self._grams: list[frozenset[str]] = []
        self._equal: dict[str, int] = {}
        # A lower threshold in the index: MinHash only estimates, and what it misses is never compared.
        self._index = MinHashLSH(threshold=max(jaccard - 0.1, 0.1), num_perm=PERMUTATIONS) if jaccard < 1 else None

    def find(self, text: str) -> int | None:
        """The number of a text that is alike, None if there is none."""
        equal = self._equal.get(words_alone(text))
        if equal is not None or self._index is None:
            return equal
        own = grams(text)
        alike = (number for number in self._index.query(_signature(own)) if _jaccard(own, self._grams[number]) >= self.jaccard)
        return min(alike, default=None)

    def add(self, text: str) -> int:
        """Adds a text and returns its number, counted from 0."""
        own = grams(text)
        number = len(self._grams)
        self._grams.append(own)
        self._equal.setdefault(words_alone(text), number)
        if self._index is not None:
            self._index.insert(number, _signature(own))
        return number


def near_pairs(texts: Sequence[str], jaccard: float) -> list[tuple[int, int]]:
    """Positions `(earlier, later)` of texts that are alike; each later text is named once."""
    index, pairs = NearIndex(jaccard), []
    for number, text in enumerate(texts):
        earlier = index.find(text)
        if earlier is not None:
            pairs.append((earlier, number))
        index.add(text)
    return pairs


def check_leaks(training: Iterable[str], evaluation: Mapping[str, Iterable[str]], jaccard: float) -> None:
    """Raises LeakError naming the evaluation split of which a text, or one alike, is trained on. The text itself is not shown."""
    index, owners = NearIndex(jaccard), []
    for split, texts in evaluation.items():
        for text in texts:
            index.add(text)
            owners.append(split)
    for number, text in enumerate(training):
        found = index.find(text)
        if found is not None:
            split, row = owners[found], found - owners.index(owners[found])
            raise LeakError(f"training row {number} stands in the evaluation split {split}, as its row {row}")


def _signature(own: frozenset[str]) -> MinHash:
    signature = MinHash(num_perm=PERMUTATIONS)
    signature.update_batch([gram.encode() for gram in own])
    return signature


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)
