"""The rules of the linter of the persona pairs: each looks at the lines of all personas and yields what it finds."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from models.emotions import Emotion
from training.datasets.dedup import near_pairs
from training.datasets.lint.patterns import HARM, PHRASES, ROLE
from training.datasets.persona_pairs import HELD_OUT_TOPICS, UNLABELLED_TOPICS, Pair

NEAR = 0.7  # Jaccard
ECHO = 6  # words in a row
WORDS, SENTENCES = (8, 50), (1, 3)  # the least and the most of an answer
PAIRS, HELD_OUT, PER_TOPIC = 250, 40, 10  # the least of a persona, what it holds out exactly, the least of each topic
TOPICS = ("daily_life", "work", "school", "family", "love", "loss", "health", "money", "news", "small_wins")
FORMS = ("nonsense", "one_word", "rambling", "bad_spelling", "crossed")  # topics of the data that are rather a way to write
NAMING, OPENING, TRIGRAM = 0.08, 0.05, 0.04  # the largest share of a persona's answers that may have a word, or a run of words, in common
VOCABULARY, SAMPLE = 0.3, 2000  # the least share of different words among a persona's first so many


@dataclass(frozen=True)
class Line:
    persona: Emotion
    number: int
    pair: Pair


Lines = Mapping[Emotion, Sequence[Line]]
Spots = Iterable[tuple[tuple[int, ...], str]]  # a finding without its persona
Found = tuple[Emotion, tuple[int, ...], str]
Rule = Callable[[Lines], Iterator[Found]]


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower().replace("’", "'"))


def runs(text: str, length: int) -> set[str]:
    found = words(text)
    return {" ".join(found[start : start + length]) for start in range(len(found) - length + 1)}


def sentences(text: str) -> int:
    """How often a text comes to an end; a voice that trails off goes on."""
    return len(re.findall(r"[.!?]+[\"'”’)]*(?=\s+[^a-z]|$)", re.sub(r"\.\.\.|…", ",", text)))


def each_line(look: Callable[[Line], Iterable[str]]) -> Rule:
    """A rule that looks at one line at a time."""
    return lambda lines: ((line.persona, (line.number,), what) for own in lines.values() for line in own for what in look(line))


def each_persona(look: Callable[[Sequence[Line]], Spots]) -> Rule:
    """A rule that looks at all lines of one persona at a time."""
    return lambda lines: ((persona, where, what) for persona, own in lines.items() for where, what in look(own))


def duplicate_answers(lines: Lines) -> Iterator[Found]:
    return _alike([line for own in lines.values() for line in own], lambda pair: pair.answer)


def duplicate_messages(lines: Lines) -> Iterator[Found]:
    """Crossed and nonsense messages may come back with another persona: that it answers in its own way is what they teach."""
    labelled = [line for own in lines.values() for line in own if line.pair.topic not in UNLABELLED_TOPICS]
    found: dict[tuple[Emotion, tuple[int, ...]], str] = {}
    for scope in (labelled, *lines.values()):
        for persona, where, what in _alike(scope, lambda pair: pair.message):
            found.setdefault((persona, where), what)
    return ((persona, where, what) for (persona, where), what in found.items())


def _alike(scope: Sequence[Line], part: Callable[[Pair], str]) -> Iterator[Found]:
    for earlier, later in near_pairs([part(line.pair) for line in scope], NEAR):
        yield scope[later].persona, (scope[later].number,), f"like line {scope[earlier].number} of {scope[earlier].persona}"


def echo(line: Line) -> Iterator[str]:
    for run in sorted(runs(line.pair.answer, ECHO) & runs(line.pair.message, ECHO))[:1]:
        yield f"repeats “{run}”"


def length(line: Line) -> Iterator[str]:
    for unit, count, (least, most) in (
        ("words", len(words(line.pair.answer)), WORDS),
        ("sentences", sentences(line.pair.answer), SENTENCES),
        ("lines", len(line.pair.answer.splitlines()), (1, 1)),
    ):
        if not least <= count <= most:
            yield f"{count} {unit}"


def says(patterns: Iterable[str]) -> Callable[[Line], Iterator[str]]:
    pattern = re.compile(rf"\b({'|'.join(patterns)})\b", re.IGNORECASE)
    return lambda line: (f"says “{hit[0]}”" for hit in [pattern.search(line.pair.answer.replace("’", "'"))] if hit)


def counts(own: Sequence[Line]) -> Spots:
    topics = Counter(line.pair.topic for line in own)
    held_out = sum(topics[topic] for topic in HELD_OUT_TOPICS)
    if len(own) < PAIRS:
        yield (), f"{len(own)} pairs of at least {PAIRS}"
    if held_out != HELD_OUT:
        yield (), f"{held_out} held-out pairs instead of {HELD_OUT}"
    yield from (
        ((), f"{topics[topic]} pairs of {topic}, at least {PER_TOPIC}")
        for topic in (*TOPICS, *FORMS, *sorted(HELD_OUT_TOPICS))
        if topics[topic] < PER_TOPIC
    )


def vocabulary(own: Sequence[Line]) -> Spots:
    sample = [word for line in own for word in words(line.pair.answer)][:SAMPLE]
    if len(set(sample)) < VOCABULARY * len(sample):
        yield (), f"{len(set(sample))} different words among {len(sample)}"


def common(most: float, traits: Callable[[Line], set[str]]) -> Callable[[Sequence[Line]], Spots]:
    """Finds each trait that more than a share `most` of a persona's answers have."""

    def look(own: Sequence[Line]) -> Spots:
        counted = Counter(trait for line in own for trait in traits(line))
        for trait in (trait for trait, count in counted.items() if count > most * len(own)):
            where = tuple(line.number for line in own if trait in traits(line))
            yield where, f"“{trait}” in {len(where) / len(own):.1%} of the answers, at most {most:.0%}"

    return look


RULES: dict[str, Rule] = {
    "duplicate answer": duplicate_answers,
    "duplicate message": duplicate_messages,
    "echo": each_line(echo),
    "length": each_line(length),
    "phrase": each_line(says(PHRASES)),
    "harm": each_line(says(HARM)),
    "role": each_line(says(ROLE)),
    "emotion word": each_persona(common(NAMING, lambda line: {line.persona.value} & set(words(line.pair.answer)))),
    "opening": each_persona(common(OPENING, lambda line: {" ".join(words(line.pair.answer)[:2])})),
    "three words": each_persona(common(TRIGRAM, lambda line: runs(line.pair.answer, 3))),
    "vocabulary": each_persona(vocabulary),
    "counts": each_persona(counts),
}
