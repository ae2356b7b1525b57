"""Rows of the persona trainer: the prompt format of serving, and the set that a recipe names."""

from typing import Any

import pytest

from models.emotions import Emotion
from models.prompt import PromptEncoder, Turn
from training.datasets.persona_pairs import Pair, held_out_pairs, training_pairs
from training.personas import trainer
from training.personas.trainer import encode_pair, held_out_rows, training_rows
from training.recipe import PairSet

EARLIER = (Turn("user", "I got the\njob!"), Turn("assistant", "You did it!"))


def texts(encoder: PromptEncoder, row: dict[str, Any]) -> tuple[str, str]:
    """Return the text of the prompt and the text that the loss counts."""
    start = row["completion_mask"].index(1)
    assert set(row["completion_mask"][start:]) == {1}
    return encoder.text(row["input_ids"][:start]), encoder.text(row["input_ids"][start:])


def test_encodes_a_message_and_counts_only_the_answer(encoder: PromptEncoder) -> None:
    pair = Pair(topic="work", message="I got the job!", answer="You did it!")
    row = encode_pair(encoder, Emotion.JOY, pair)
    assert texts(encoder, row) == ("Friend: I got the job!\nJoy:", " You did it!")
    assert row["input_ids"][0] == encoder.bos_id
    assert row["input_ids"][-1] == encoder.eos_id


def test_encodes_earlier_turns_in_the_prompt_format_of_serving(encoder: PromptEncoder) -> None:
    pair = Pair(topic="dialogue", earlier=EARLIER, message="I start today", answer="Already?")
    row = encode_pair(encoder, Emotion.JOY, pair)
    prompt = "Friend: I got the job!\nJoy: You did it!\nFriend: I start today\nJoy:"
    assert texts(encoder, row) == (prompt, " Already?")
    served = encoder.prompt("Joy", [*EARLIER, Turn("user", "I start today")])
    assert row["input_ids"][: len(served)] == served


@pytest.fixture
def few_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce both sets to a few pairs of each persona."""
    monkeypatch.setattr(
        trainer, "training_pairs", lambda persona, kind: training_pairs(persona, kind)[:3]
    )
    monkeypatch.setattr(
        trainer, "held_out_pairs", lambda persona, kind: held_out_pairs(persona, kind)[:2]
    )


@pytest.mark.usefixtures("few_pairs")
def test_rows_come_from_the_set_that_the_recipe_names(encoder: PromptEncoder) -> None:
    chosen = [Emotion.JOY, Emotion.FEAR]
    for pair_set in ("literary", "plain"):
        expected = [
            encode_pair(encoder, persona, pair)
            for persona in chosen
            for pair in training_pairs(persona, pair_set)[:3]
        ]
        assert training_rows(encoder, chosen, pair_set).to_list() == expected
    assert training_rows(encoder, chosen).to_list() != expected


@pytest.mark.usefixtures("few_pairs")
@pytest.mark.parametrize("pair_set", ["literary", "plain"])
def test_held_out_rows_are_those_of_the_held_out_topics(
    encoder: PromptEncoder, pair_set: PairSet
) -> None:
    pairs = held_out_pairs(Emotion.JOY, pair_set)[:2]
    expected = [encode_pair(encoder, Emotion.JOY, pair) for pair in pairs]
    assert held_out_rows(encoder, [Emotion.JOY], pair_set).to_list() == expected
