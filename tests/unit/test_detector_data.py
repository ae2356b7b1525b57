"""The mix that the detector is trained on."""

from collections import Counter
from pathlib import Path

from training import corpora
from training.corpora import Example
from training.detector import DetectorRecipe, training_examples

EVALUATION = ("i feel like toast", "i feel watched", "rude cat", "yes")
PUBLIC = {
    Example("i feel low; really low", 0),
    Example("i feel grand", 1),
    Example("i feel small, and tired", 0),
    Example("i feel shocked", 5),
    Example("Stop it", 3),
    Example("Stop that", 3),
    Example("Awww", 2),
}


def letters(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())


def test_the_mix_is_the_public_rows_once_and_the_own_rows_repeated(public_sets: Path) -> None:
    counted = Counter(training_examples(DetectorRecipe(ordinary_repeats=2), public_sets))
    own = set(corpora.ordinary(held_out=False))
    assert {row: counted[row] for row in PUBLIC} == dict.fromkeys(PUBLIC, 1)
    assert counted.keys() - PUBLIC <= own
    assert {counted[row] for row in counted.keys() - PUBLIC} == {2}


def test_no_evaluation_text_is_trained_on(public_sets: Path) -> None:
    held_out = [row.text for row in corpora.ordinary(held_out=True)]
    with (public_sets / "emotion" / "train.txt").open("a", encoding="utf-8") as stream:
        stream.write(f"{held_out[0].upper()};joy\n")
    trained = {letters(row.text) for row in training_examples(DetectorRecipe(), public_sets)}
    assert [text for text in [*EVALUATION, *held_out] if letters(text) in trained] == []


def test_the_mix_depends_on_the_seed_alone(public_sets: Path) -> None:
    one, again, other = (training_examples(DetectorRecipe(seed=seed), public_sets) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert Counter(one) == Counter(other)


def test_no_more_unsplit_rows_are_drawn_than_asked_for(public_sets: Path) -> None:
    rows = training_examples(DetectorRecipe(unsplit_rows=0), public_sets)
    assert {row for row in rows if row in PUBLIC} == PUBLIC - {Example("i feel small, and tired", 0), Example("i feel shocked", 5)}
