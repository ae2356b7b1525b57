"""The record of a persona run: the pairs that the recipe names, checked for leaks."""

import json
from pathlib import Path

import pytest

from models.emotions import LABELS, Emotion
from models.prompt import Turn
from training.datasets.persona_pairs import Pair, data_hash, held_out_pairs, training_pairs
from training.errors import LeakError
from training.personas import train
from training.recipe import PairSet, PersonaRecipe
from training.runs.folder import RECIPE_FILE

RECIPE = PersonaRecipe(base="tiny")


@pytest.mark.parametrize("pair_set", ["literary", "plain"])
def test_record_has_the_hashes_of_the_pairs_that_the_recipe_names(
    pair_set: PairSet, tmp_path: Path
) -> None:
    train.open_personas_run(RECIPE.model_copy(update={"pairs": pair_set}), tmp_path / "run")
    record = json.loads((tmp_path / "run" / RECIPE_FILE).read_text("utf-8"))
    expected = {persona: data_hash(training_pairs(persona, pair_set)) for persona in LABELS}
    assert record["data_sha256"] == expected
    assert record["recipe"]["pairs"] == pair_set


def test_rejects_a_held_out_message_in_an_earlier_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leak = Turn("user", held_out_pairs(Emotion.SADNESS)[0].message)
    earlier = (leak, Turn("assistant", "Oh."))
    pair = Pair(topic="dialogue", earlier=earlier, message="Yes.", answer="I see.")
    monkeypatch.setattr(train, "training_pairs", lambda persona, pair_set: [pair])
    with pytest.raises(LeakError, match="sadness, held out"):
        train.open_personas_run(RECIPE, tmp_path / "run")
