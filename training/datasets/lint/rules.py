"""Building blocks of the linter's rules.

A rule looks at the lines of all personas and yields its findings. Most rules are built from a check
of one line, or of all lines of one persona.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from models.emotions import Emotion
from training.datasets.dedup import near_duplicate_pairs
from training.datasets.persona_pairs import Pair
from training.datasets.words import word_ngrams

NEAR_DUPLICATE = 0.7  # Jaccard similarity of character 5-grams


@dataclass(frozen=True)
class Line:
    """A line of a persona's file.

    Attributes:
        persona: persona of the file.
        number: position in the file, counted from 1.
        pair: content of the line.
    """

    persona: Emotion
    number: int
    pair: Pair


Lines = Mapping[Emotion, Sequence[Line]]
Numbers = tuple[int, ...]
Found = tuple[Emotion, Numbers, str]
Rule = Callable[[Lines], Iterator[Found]]
LineCheck = Callable[[Line], Iterable[str]]
PersonaCheck = Callable[[Sequence[Line]], Iterable[tuple[Numbers, str]]]


def per_line(check: LineCheck) -> Rule:
    """Make a rule from a check of one line."""

    def rule(lines: Lines) -> Iterator[Found]:
        for own in lines.values():
            for line in own:
                for message in check(line):
                    yield line.persona, (line.number,), message

    return rule


def per_persona(check: PersonaCheck) -> Rule:
    """Make a rule from a check of all lines of one persona."""

    def rule(lines: Lines) -> Iterator[Found]:
        for persona, own in lines.items():
            for numbers, message in check(own):
                yield persona, numbers, message

    return rule


def near_duplicates(lines: Sequence[Line], text_of: Callable[[Pair], str]) -> Iterator[Found]:
    """Find lines with a text that is a near-duplicate of an earlier one."""
    texts = [text_of(line.pair) for line in lines]
    for earlier, later in near_duplicate_pairs(texts, NEAR_DUPLICATE):
        first = lines[earlier]
        message = f"near-duplicate of line {first.number} of {first.persona}"
        yield lines[later].persona, (lines[later].number,), message


def duplicate_answers(lines: Lines) -> Iterator[Found]:
    """Find answers that are near-duplicates, also of another persona's."""
    everything = [line for own in lines.values() for line in own]
    return near_duplicates(everything, lambda pair: pair.answer)


def forbidden(patterns: Iterable[str]) -> LineCheck:
    """Make a check that finds the first match of one of the patterns in the answer."""
    pattern = re.compile(rf"\b({'|'.join(patterns)})\b", re.IGNORECASE)

    def check(line: Line) -> Iterator[str]:
        found = pattern.search(line.pair.answer.replace("’", "'"))
        if found:
            yield f"contains “{found[0]}”"

    return check


def echo(length: int, sources: Callable[[Pair], Iterable[str]]) -> LineCheck:
    """Make a check that finds `length` words in a row that the answer copies from a source."""

    def check(line: Line) -> Iterator[str]:
        own = set(word_ngrams(line.pair.answer, length))
        copied = (own.intersection(word_ngrams(text, length)) for text in sources(line.pair))
        repeated = sorted(set().union(*copied))
        if repeated:
            yield f"repeats “{' '.join(repeated[0])}”"

    return check


def too_common(limit: float, traits: Callable[[Line], Collection[str]]) -> PersonaCheck:
    """Make a check that finds traits that more than a share `limit` of the answers have."""

    def check(own: Sequence[Line]) -> Iterator[tuple[Numbers, str]]:
        counted = Counter(trait for line in own for trait in set(traits(line)))
        for trait in (trait for trait, count in counted.items() if count > limit * len(own)):
            numbers = tuple(line.number for line in own if trait in traits(line))
            share = len(numbers) / len(own)
            yield numbers, f"“{trait}” in {share:.1%} of the answers, at most {limit:.0%}"

    return check


def first_words(line: Line) -> set[str]:
    """Return the first two words of the answer, as one string."""
    return {" ".join(gram) for gram in word_ngrams(line.pair.answer, 2)[:1]}


def trigrams(line: Line) -> set[str]:
    """Return the runs of three words in the answer, each as one string."""
    return {" ".join(gram) for gram in word_ngrams(line.pair.answer, 3)}
