"""The persona pairs that ship: enough of them, none twice, each in the form that the persona is to learn."""

import re
from collections import Counter

import pytest
from pydantic import ValidationError

from models.emotions import LABELS, Emotion
from training import corpora
from training.persona_data import HELD_OUT_TOPICS, UNLABELLED_TOPICS, Pair, data_hash, pairs

BANNED = ("as an ai", "i understand how you feel", "language model")
RUN = 6


def all_pairs(persona: Emotion) -> list[Pair]:
    return pairs(persona, held_out=False) + pairs(persona, held_out=True)


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower())


def runs(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[start : start + RUN]) for start in range(len(found) - RUN + 1)}


def sentences(text: str) -> int:
    """How often a text comes to an end; a voice that trails off goes on."""
    return len(re.findall(r"[.!?]+[\"'”’)]*(?=\s+[^a-z]|$)", re.sub(r"\.\.\.|…", ",", text)))


def test_every_persona_has_enough_pairs_and_holds_forty_out() -> None:
    counted = {persona: (len(all_pairs(persona)) >= 250, len(pairs(persona, held_out=True))) for persona in LABELS}
    assert counted == dict.fromkeys(LABELS, (True, 40))


def repeated(texts: list[str]) -> list[str]:
    return [text for text, times in Counter(" ".join(words(text)) for text in texts).items() if times > 1]


def test_no_answer_is_written_twice() -> None:
    assert repeated([pair.answer for persona in LABELS for pair in all_pairs(persona)]) == []


def test_no_message_that_carries_an_emotion_is_written_twice() -> None:
    """Crossed and nonsense messages may come back with another persona: that it answers in its own way is what they teach."""
    labelled = [pair.message for persona in LABELS for pair in all_pairs(persona) if pair.topic not in UNLABELLED_TOPICS]
    assert repeated(labelled) == []
    assert [repeated([pair.message for pair in all_pairs(persona)]) for persona in LABELS] == [[]] * 6


@pytest.mark.parametrize("persona", LABELS)
def test_no_answer_repeats_its_message(persona: Emotion) -> None:
    assert [pair.answer for pair in all_pairs(persona) if runs(pair.answer) & runs(pair.message)] == []


@pytest.mark.parametrize("persona", LABELS)
def test_an_answer_is_one_to_three_short_sentences(persona: Emotion) -> None:
    assert [pair.answer for pair in all_pairs(persona) if not 1 <= sentences(pair.answer) <= 3] == []
    assert [pair.answer for pair in all_pairs(persona) if not 8 <= len(words(pair.answer)) <= 50] == []
    assert [pair.answer for pair in all_pairs(persona) if "\n" in pair.answer] == []


@pytest.mark.parametrize("phrase", BANNED)
def test_no_character_talks_like_an_assistant(phrase: str) -> None:
    assert [pair.answer for persona in LABELS for pair in all_pairs(persona) if phrase in pair.answer.lower()] == []


def test_training_and_held_out_pairs_share_no_topic() -> None:
    for persona in LABELS:
        assert {pair.topic for pair in pairs(persona, held_out=True)} == HELD_OUT_TOPICS
        assert {pair.topic for pair in pairs(persona, held_out=False)} & HELD_OUT_TOPICS == set()


def test_every_emotion_has_four_hundred_ordinary_messages() -> None:
    counted = Counter(row.label for held_out in (False, True) for row in corpora.ordinary(held_out))
    assert {label: counted[label.id] >= 400 for label in LABELS} == dict.fromkeys(LABELS, True)


def test_the_data_hash_follows_every_word() -> None:
    rows = [Pair(topic="work", message="hi", answer="hello"), Pair(topic="work", message="bye", answer="ta")]
    assert data_hash(rows) == data_hash([row.model_copy() for row in rows])
    assert data_hash(rows) != data_hash(rows[::-1])
    assert data_hash(rows) != data_hash([rows[0], rows[1].model_copy(update={"answer": "ta!"})])


def test_a_line_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="mood"):
        Pair.model_validate_json('{"topic": "work", "message": "hi", "answer": "hello", "mood": "sunny"}')
