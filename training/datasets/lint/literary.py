"""Rules for the literary set of persona pairs."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from models.emotions import Emotion
from training.datasets.lint.patterns import HARM, PHRASES, ROLE
from training.datasets.lint.rules import (
    Found,
    Line,
    Lines,
    Numbers,
    Rule,
    duplicate_answers,
    echo,
    first_words,
    forbidden,
    near_duplicates,
    per_line,
    per_persona,
    too_common,
    trigrams,
)
from training.datasets.persona_pairs import HELD_OUT_TOPICS, UNLABELLED_TOPICS
from training.datasets.words import words

ECHO = 6  # words in a row
WORDS = (8, 50)  # minimum and maximum in an answer
SENTENCES = (1, 3)
LINES = (1, 1)
PAIRS = 250  # minimum per persona
HELD_OUT = 40  # exact number per persona
PER_TOPIC = 10  # minimum per persona and topic
# Topics by subject, and topics of the data that are ways of writing.
TOPICS = (
    "daily_life",
    "work",
    "school",
    "family",
    "love",
    "loss",
    "health",
    "money",
    "news",
    "small_wins",
)
FORMS = ("nonsense", "one_word", "rambling", "bad_spelling", "crossed")
# Maximum shares of a persona's answers that name the emotion, begin alike or have three words in a
# row in common.
NAMING = 0.08
OPENING = 0.05
TRIGRAM = 0.04
VOCABULARY = 0.3  # minimum share of different words among the first VOCABULARY_SAMPLE words
VOCABULARY_SAMPLE = 2000


def count_sentences(text: str) -> int:
    """Count the ends of sentences. Three dots do not end one if the text goes on."""
    without_dots = re.sub(r"\.\.\.|…", ",", text)
    return len(re.findall(r"[.!?]+[\"'”’)]*(?=\s+[^a-z]|$)", without_dots))


def check_length(line: Line) -> Iterator[str]:
    """Find answers with too few or too many words, sentences or lines."""
    answer = line.pair.answer
    for unit, count, (minimum, maximum) in (
        ("words", len(words(answer)), WORDS),
        ("sentences", count_sentences(answer), SENTENCES),
        ("lines", len(answer.splitlines()), LINES),
    ):
        if not minimum <= count <= maximum:
            yield f"{count} {unit}, expected {minimum} to {maximum}"


def duplicate_messages(lines: Lines) -> Iterator[Found]:
    """Find messages that are near-duplicates, also of another persona's.

    Crossed and nonsense messages may occur with several personas: they teach that each answers in
    its own way.
    """
    labelled = [
        line for own in lines.values() for line in own if line.pair.topic not in UNLABELLED_TOPICS
    ]
    found: dict[tuple[Emotion, Numbers], str] = {}
    for scope in (labelled, *lines.values()):
        for persona, numbers, message in near_duplicates(scope, lambda pair: pair.message):
            found.setdefault((persona, numbers), message)
    return ((persona, numbers, message) for (persona, numbers), message in found.items())


def check_counts(own: Sequence[Line]) -> Iterator[tuple[Numbers, str]]:
    """Find a persona with too few pairs, in all or of a topic."""
    topics = Counter(line.pair.topic for line in own)
    held_out = sum(topics[topic] for topic in HELD_OUT_TOPICS)
    if len(own) < PAIRS:
        yield (), f"{len(own)} pairs, expected at least {PAIRS}"
    if held_out != HELD_OUT:
        yield (), f"{held_out} held-out pairs, expected {HELD_OUT}"
    for topic in (*TOPICS, *FORMS, *sorted(HELD_OUT_TOPICS)):
        if topics[topic] < PER_TOPIC:
            yield (), f"{topics[topic]} pairs of {topic}, expected at least {PER_TOPIC}"


def check_vocabulary(own: Sequence[Line]) -> Iterator[tuple[Numbers, str]]:
    """Find a persona whose answers use too few different words."""
    sample = [word for line in own for word in words(line.pair.answer)][:VOCABULARY_SAMPLE]
    different = len(set(sample))
    if different < VOCABULARY * len(sample):
        yield (), f"{different} different words among {len(sample)}"


def _own_name(line: Line) -> set[str]:
    """Return the persona's name if the answer contains it."""
    return {line.persona.value} & set(words(line.pair.answer))


RULES: dict[str, Rule] = {
    "duplicate answer": duplicate_answers,
    "duplicate message": duplicate_messages,
    "echo": per_line(echo(ECHO, lambda pair: [pair.message])),
    "length": per_line(check_length),
    "phrase": per_line(forbidden(PHRASES)),
    "harm": per_line(forbidden(HARM)),
    "role": per_line(forbidden(ROLE)),
    "emotion word": per_persona(too_common(NAMING, _own_name)),
    "opening": per_persona(too_common(OPENING, first_words)),
    "trigram": per_persona(too_common(TRIGRAM, trigrams)),
    "vocabulary": per_persona(check_vocabulary),
    "counts": per_persona(check_counts),
}
