"""The persona pairs and the ordinary messages that ship, as training reads them; what the pairs say is for the linter, in test_lint."""

from collections import Counter

import pytest
from pydantic import ValidationError

from models.emotions import LABELS
from training.datasets import sources
from training.datasets.persona_pairs import HELD_OUT_TOPICS, Pair, data_hash, pairs


def test_training_and_held_out_pairs_share_no_topic() -> None:
    for persona in LABELS:
        assert {pair.topic for pair in pairs(persona, held_out=True)} == HELD_OUT_TOPICS
        assert {pair.topic for pair in pairs(persona, held_out=False)} & HELD_OUT_TOPICS == set()


def test_every_emotion_has_four_hundred_ordinary_messages() -> None:
    counted = Counter(row.label for held_out in (False, True) for row in sources.ordinary(held_out))
    assert {label: counted[label.id] >= 400 for label in LABELS} == dict.fromkeys(LABELS, True)


def test_the_data_hash_follows_every_word() -> None:
    rows = [Pair(topic="work", message="hi", answer="hello"), Pair(topic="work", message="bye", answer="ta")]
    assert data_hash(rows) == data_hash([row.model_copy() for row in rows])
    assert data_hash(rows) != data_hash(rows[::-1])
    assert data_hash(rows) != data_hash([rows[0], rows[1].model_copy(update={"answer": "ta!"})])


def test_a_line_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="mood"):
        Pair.model_validate_json('{"topic": "work", "message": "hi", "answer": "hello", "mood": "sunny"}')
