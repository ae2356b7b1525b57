"""Rules for the plain and the simple set of persona pairs."""

from collections.abc import Iterator, Sequence
from functools import cache
from re import Pattern

from models.emotions import Emotion
from training.datasets.lint.rules import (
    Line,
    Numbers,
    Rule,
    duplicate_answers,
    echo,
    first_words,
    per_line,
    per_persona,
    too_common,
    trigrams,
)
from training.datasets.lint.stems import content_stems
from training.datasets.persona_pairs import HELD_OUT_TOPICS
from training.datasets.words import emotion_word_pattern, words

ECHO = 4  # words in a row
OPENING = 0.05  # maximum share of answers that begin with the same two words
TRIGRAM = 0.04  # maximum share of answers with the same three words in a row
RELATED = 0.85  # minimum share of answers that take up a content word of the conversation
REFERENCES = 40  # exact number of answers to held-out messages
REFERENCE_WORDS = (8, 34)  # minimum and maximum in one
REFERENCE_SHARE = 0.075  # of the references that may begin alike, or have the same three words
REFERENCE_RELATED = 0.75  # minimum share that takes up a content word
NAMING = 0.6  # maximum share of answers that name the emotion, among the topics below
NAMING_TOPICS = frozenset(
    {"dialogue", "small_talk", "about_me", "advice", "roles", "short", "crossed"}
)


def check_references(own: Sequence[Line]) -> Iterator[tuple[Numbers, str]]:
    """Find references, the answers to held-out messages, of a wrong number or with a formula.

    They are a ceiling for generated answers, so they are held to stricter shares than the rest.
    """
    references = [line for line in own if line.pair.topic in HELD_OUT_TOPICS]
    if len(references) != REFERENCES:
        yield (), f"{len(references)} held-out pairs, expected {REFERENCES}"
    for line in references:
        count = len(words(line.pair.answer))
        if not REFERENCE_WORDS[0] <= count <= REFERENCE_WORDS[1]:
            yield (line.number,), f"{count} words, expected {REFERENCE_WORDS}"
    for traits in (first_words, trigrams):
        yield from too_common(REFERENCE_SHARE, traits)(references)
    yield from check_relation(references, REFERENCE_RELATED)


def duplicate_conversations(own: Sequence[Line]) -> Iterator[tuple[Numbers, str]]:
    """Find conversations that occur twice in a persona's file.

    Messages that differ by a few letters are allowed: the topic "roles" contrasts them.
    """
    first: dict[tuple[str, ...], int] = {}
    for line in own:
        conversation = tuple(turn.text.strip().casefold() for turn in line.pair.conversation)
        earlier = first.setdefault(conversation, line.number)
        if earlier != line.number:
            yield (line.number,), f"same conversation as line {earlier}"


def check_relation(own: Sequence[Line], minimum: float = RELATED) -> Iterator[tuple[Numbers, str]]:
    """Find a persona of which too many answers share no content word with the conversation."""
    unrelated = tuple(line.number for line in own if not _is_related(line))
    share = 1 - len(unrelated) / len(own) if own else 1.0
    if share < minimum:
        message = f"{share:.1%} of the answers take up a content word, expected {minimum:.0%}"
        yield unrelated, message


def _is_related(line: Line) -> bool:
    said = set().union(*(content_stems(turn.text) for turn in line.pair.conversation))
    return not said.isdisjoint(content_stems(line.pair.answer))


def check_naming(own: Sequence[Line]) -> Iterator[tuple[Numbers, str]]:
    """Find a persona that names its emotion in too many answers."""
    rows = [line for line in own if line.pair.topic in NAMING_TOPICS]
    naming = tuple(
        line.number for line in rows if _emotion_words(line.persona).search(line.pair.answer)
    )
    if len(naming) > NAMING * len(rows):
        share = len(naming) / len(rows)
        yield naming, f"{share:.1%} of the answers name the emotion, at most {NAMING:.0%}"


@cache
def _emotion_words(persona: Emotion) -> Pattern[str]:
    return emotion_word_pattern([persona])


RULES_WITHOUT_REFERENCES: dict[str, Rule] = {
    "duplicate answer": duplicate_answers,
    "duplicate message": per_persona(duplicate_conversations),
    "echo": per_line(echo(ECHO, lambda pair: [turn.text for turn in pair.conversation])),
    "opening": per_persona(too_common(OPENING, first_words)),
    "trigram": per_persona(too_common(TRIGRAM, trigrams)),
    "relation": per_persona(check_relation),
    "emotion word": per_persona(check_naming),
}
RULES: dict[str, Rule] = {"references": per_persona(check_references), **RULES_WITHOUT_REFERENCES}
