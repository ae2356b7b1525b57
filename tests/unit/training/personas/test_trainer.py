"""Rows of the persona trainer: the prompt format of serving, and the set that a recipe names."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from models.emotions import Emotion
from models.prompt import PromptEncoder, Turn
from models.weights.cache import materialize
from support.tiny_models import tiny_gemma
from training.datasets.persona_pairs import Pair, held_out_pairs, training_pairs
from training.personas import trainer
from training.personas.loss import completion_loss
from training.personas.trainer import TrainingStage, encode_pair, held_out_rows, training_rows
from training.recipe import PairSet, PersonaRecipe

MANY = 9_999  # tokens
EARLIER = (Turn("user", "I got the\njob!"), Turn("assistant", "You did it!"))


def recipe(pair_set: PairSet, **fields: Any) -> PersonaRecipe:
    return PersonaRecipe.model_validate(
        {"base": "tiny", "max_tokens": 8192, "pairs": pair_set, **fields}
    )


def texts(encoder: PromptEncoder, row: dict[str, Any]) -> tuple[str, str]:
    """Return the text of the prompt and the text that the loss counts."""
    start = next(i for i, label in enumerate(row["labels"]) if label != -100)
    assert row["labels"][start:] == row["input_ids"][start:]
    return encoder.text(row["input_ids"][:start]), encoder.text(row["input_ids"][start:])


def test_encodes_a_message_and_counts_only_the_answer(encoder: PromptEncoder) -> None:
    pair = Pair(topic="work", message="I got the job!", answer="You did it!")
    row = encode_pair(encoder, Emotion.JOY, pair, MANY)
    assert texts(encoder, row) == ("Friend: I got the job!\nJoy:", " You did it!")
    assert row["input_ids"][0] == encoder.bos_id
    assert row["input_ids"][-1] == encoder.eos_id


def test_encodes_earlier_turns_in_the_prompt_format_of_serving(encoder: PromptEncoder) -> None:
    pair = Pair(topic="dialogue", earlier=EARLIER, message="I start today", answer="Already?")
    row = encode_pair(encoder, Emotion.JOY, pair, MANY)
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
            encode_pair(encoder, persona, pair, MANY)
            for persona in chosen
            for pair in training_pairs(persona, pair_set)[:3]
        ]
        assert training_rows(encoder, chosen, recipe(pair_set)).to_list() == expected
    assert training_rows(encoder, chosen, recipe("literary")).to_list() != expected


@pytest.mark.usefixtures("few_pairs")
@pytest.mark.parametrize("pair_set", ["literary", "plain"])
def test_held_out_rows_are_those_of_the_held_out_topics(
    encoder: PromptEncoder, pair_set: PairSet
) -> None:
    pairs = held_out_pairs(Emotion.JOY, pair_set)[:2]
    expected = [encode_pair(encoder, Emotion.JOY, pair, MANY) for pair in pairs]
    assert held_out_rows(encoder, [Emotion.JOY], recipe(pair_set)).to_list() == expected


@pytest.mark.usefixtures("few_pairs")
def test_unprepared_rows_have_no_loss_in_the_prompt(encoder: PromptEncoder) -> None:
    """Unsloth leaves out TRL's preparation, so TRL's collator gets the rows as they are."""
    rows = training_rows(encoder, [Emotion.JOY], recipe("literary")).to_list()
    batch = DataCollatorForLanguageModeling(pad_token_id=0)(rows)
    for row, pair, labels in zip(
        rows, training_pairs(Emotion.JOY, "literary"), batch["labels"].tolist(), strict=False
    ):
        answer = encoder.completion(pair.answer)
        start = len(row["input_ids"]) - len(answer)
        assert [label for label in labels if label != -100] == answer
        assert set(labels[:start]) == {-100}


def test_rows_are_truncated_and_have_a_label_left(
    encoder: PromptEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Pair(topic="work", message="I won!", answer="You did it!")
    long = Pair(topic="work", message="I won! " * 50, answer="You did it!")
    monkeypatch.setattr(trainer, "training_pairs", lambda persona, kind: [short, long])
    whole = encode_pair(encoder, Emotion.JOY, short, MANY)
    limit = len(whole["input_ids"]) - 1
    (row,) = training_rows(encoder, [Emotion.JOY], recipe("literary", max_tokens=limit)).to_list()
    assert row == {name: ids[:limit] for name, ids in whole.items()}


@pytest.mark.usefixtures("few_pairs", "one_thread")
def test_loss_is_that_of_the_completion_mask_that_trl_prepares(tmp_path: Path) -> None:
    base = materialize(str(tiny_gemma(tmp_path / "base")))
    settings = recipe("literary", base=base.name, max_tokens=240, vocabulary=None)
    stage = TrainingStage("joy", (Emotion.JOY,))
    made = trainer.make_trainer(stage, settings, base, tmp_path / "run")
    args = made.args
    args.completion_only_loss = True
    encoder = PromptEncoder(base.folder / "tokenizer.json")
    masked = type(made)(
        model=made.model.get_base_model(),
        args=args,
        train_dataset=Dataset.from_list(masked_rows(encoder)),
        eval_dataset=made.eval_dataset,
        processing_class=made.processing_class,
    )
    assert len(made.train_dataset) == 3
    with torch.no_grad():
        found, expected = (
            completion_loss(each.model, each.data_collator(list(each.train_dataset)))
            for each in (made, masked)
        )
    assert found == expected


def masked_rows(encoder: PromptEncoder) -> list[dict[str, list[int]]]:
    """Encode the training pairs of a persona with a completion mask, for TRL to prepare."""
    rows = []
    for pair in trainer.training_pairs(Emotion.JOY, "literary"):  # type: ignore[attr-defined]
        prompt = encoder.prompt("Joy", pair.conversation)
        answer = encoder.completion(pair.answer)
        mask = [0] * len(prompt) + [1] * len(answer)
        rows.append({"input_ids": prompt + answer, "completion_mask": mask})
    return rows
