"""All sets of persona pairs, as training reads them. Their content is checked by the linter."""

import json
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from models.emotions import LABELS, Emotion
from models.manifest import ARTIFACTS
from models.prompt import Turn
from training.datasets.dedup import check_leaks
from training.datasets.lint.rules import Line
from training.datasets.lint.runner import lint
from training.datasets.persona_pairs import (
    DATA,
    HELD_OUT_TOPICS,
    Pair,
    data_hash,
    held_out_pairs,
    read_pairs,
    training_pairs,
)
from training.personas.train import LEAK_JACCARD
from training.recipe import PairSet

EARLIER = (Turn("user", "I got the job!"), Turn("assistant", "You did it!"))
DIALOGUE = Pair(topic="dialogue", earlier=EARLIER, message="I start today", answer="Already?")


@pytest.mark.parametrize("persona", LABELS)
def test_training_and_held_out_pairs_share_no_topic(persona: Emotion) -> None:
    for pair_set in get_args(PairSet):
        assert {pair.topic for pair in held_out_pairs(persona, pair_set)} == HELD_OUT_TOPICS
        topics = {pair.topic for pair in training_pairs(persona, pair_set)}
        assert topics.isdisjoint(HELD_OUT_TOPICS)


@pytest.mark.parametrize("persona", LABELS)
def test_both_sets_answer_the_same_held_out_messages(persona: Emotion) -> None:
    literary, plain = (held_out_pairs(persona, kind) for kind in ("literary", "plain"))
    assert [pair.message for pair in plain] == [pair.message for pair in literary]
    assert {pair.answer for pair in plain}.isdisjoint(pair.answer for pair in literary)


@pytest.mark.parametrize("persona", LABELS)
def test_simple_set_has_the_references_of_the_plain_set(persona: Emotion) -> None:
    assert held_out_pairs(persona, "simple") == held_out_pairs(persona, "plain")


@pytest.mark.parametrize("persona", LABELS)
def test_simple_answers_are_short(persona: Emotion) -> None:
    ordinary = [
        pair for pair in training_pairs(persona, "simple") if pair.topic in {"ordinary", "crossed"}
    ]
    assert len(ordinary) > 400
    assert {len(pair.answer.split()) for pair in ordinary} <= set(range(5, 25))


@pytest.mark.parametrize("persona", LABELS)
def test_next_simple_pairs_are_new_and_follow_the_rules(persona: Emotion) -> None:
    rows = read_pairs(DATA / "simple_next" / f"{persona}.jsonl")
    known = {tuple(pair.messages) for pair in training_pairs(persona, "simple")}
    assert known.isdisjoint(tuple(pair.messages) for pair in rows)
    assert {pair.topic for pair in rows}.isdisjoint(HELD_OUT_TOPICS)
    held_out = [pair.message for pair in held_out_pairs(persona)]
    messages = (message for pair in rows for message in pair.messages)
    check_leaks(messages, {"held out": held_out}, LEAK_JACCARD)
    both = [*training_pairs(persona, "simple"), *rows]  # they are trained on together
    lines = [Line(persona, number, pair) for number, pair in enumerate(both, 1)]
    assert lint("simple", {persona: lines}) == []


@pytest.mark.parametrize("persona", LABELS)
def test_shipped_adapter_was_trained_on_the_simple_pairs(persona: Emotion) -> None:
    manifest = json.loads((ARTIFACTS / "adapters" / persona / "manifest.json").read_text("utf-8"))
    assert data_hash(training_pairs(persona, "simple")) == manifest["training_data_hash"]


@pytest.mark.parametrize("persona", LABELS)
def test_plain_pairs_contain_dialogues_of_two_to_four_messages(persona: Emotion) -> None:
    pairs = training_pairs(persona, "plain")
    dialogues = [pair for pair in pairs if pair.topic == "dialogue"]
    assert len(pairs) > 1250
    assert {len(pair.messages) for pair in dialogues} == {2, 3, 4}
    assert all(pair.earlier == () for pair in pairs if pair.topic != "dialogue")


def test_conversation_ends_with_the_message() -> None:
    assert DIALOGUE.conversation == [*EARLIER, Turn("user", "I start today")]
    assert DIALOGUE.messages == ["I got the job!", "I start today"]


def test_reads_earlier_turns_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "joy.jsonl"
    file.write_text(DIALOGUE.model_dump_json() + "\n", "utf-8")
    assert read_pairs(file) == [DIALOGUE]


@pytest.mark.parametrize(
    "roles", [["user"], ["assistant", "user"], ["user", "user"], ["user", "assistant", "user"]]
)
def test_rejects_earlier_turns_that_do_not_alternate(roles: list[str]) -> None:
    earlier = [{"role": role, "text": "hm"} for role in roles]
    line = json.dumps({"topic": "t", "earlier": earlier, "message": "hi", "answer": "hello"})
    with pytest.raises(ValidationError, match="earlier"):
        Pair.model_validate_json(line)


def test_rejects_unknown_field() -> None:
    line = '{"topic": "work", "message": "hi", "answer": "hello", "mood": "sunny"}'
    with pytest.raises(ValidationError, match="mood"):
        Pair.model_validate_json(line)


def test_data_hash_depends_on_every_word_and_on_the_order() -> None:
    rows = [
        Pair(topic="work", message="hi", answer="hello"),
        Pair(topic="work", message="bye", answer="ta"),
    ]
    digest = data_hash(rows)
    assert digest == data_hash([row.model_copy() for row in rows])
    assert digest != data_hash(rows[::-1])
    assert digest != data_hash([rows[0], rows[1].model_copy(update={"answer": "ta!"})])
    assert digest != data_hash([rows[0], rows[1].model_copy(update={"earlier": EARLIER})])
