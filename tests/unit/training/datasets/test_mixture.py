"""The mix that a detector is trained on: disjoint parts, no evaluation text, no contradiction, and the same again by its seed."""

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.datasets import mixture, sources
from training.datasets.mixture import distinct, evaluation_sets, of_part, training_examples, with_shares_of
from training.datasets.sources import Example
from training.errors import LeakError
from training.recipe import DetectorRecipe

EVALUATION = ("i feel like toast", "i feel watched", "rude cat", "yes")
TRAIN = {Example("i feel low; really low", 0), Example("i feel grand", 1)}
UNSPLIT = {Example("i feel small, and tired", 0), Example("i feel shocked", 5)}
GOEMOTIONS = {Example("Stop it", 3), Example("Stop that", 3), Example("Awww", 2)}
OWN = {
    False: [Example("My bike has been taken from the yard.", 3), Example("Nan left me her piano, of all things.", 5)],
    True: [Example("We finally saw the fjords at dawn.", 1), Example("The vet called, and it is not good.", 0)],
}
REPLIES = [Example("Oh no, your poor bike, I am fuming for you.", 3), Example("A piano? I did not see that coming!", 5)]
ROWS = st.lists(st.builds(Example, st.text("ab !", max_size=4), st.integers(0, 5)))


@pytest.fixture
def sets(public_sets: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny public sets, with a few own messages instead of the thousands that ship."""
    monkeypatch.setattr(sources, "ordinary", lambda held_out: list(OWN[held_out]))
    monkeypatch.setattr(sources, "fresh", lambda: [Example("They are digging up our road again!", 3)])
    monkeypatch.setattr(sources, "judge_replies", lambda: list(REPLIES))
    return public_sets


def words(text: str) -> str:
    return " ".join("".join(character if character.isalnum() else " " for character in text.lower()).split())


def made(sets: Path, **fields: object) -> list[Example]:
    return training_examples(DetectorRecipe.model_validate({"base": "any", **fields}), sets)


def add(sets: Path, *lines: str) -> None:
    with (sets / "emotion" / "train.txt").open("a", encoding="utf-8") as stream:
        stream.writelines(f"{line}\n" for line in ("", *lines))


def test_the_mix_is_the_public_rows_once_and_the_own_rows_repeated(sets: Path) -> None:
    public = TRAIN.union(of_part([*UNSPLIT, *GOEMOTIONS], "detector"))
    assert Counter(made(sets, ordinary_repeats=3)) == Counter({**dict.fromkeys(public, 1), **dict.fromkeys(OWN[False], 3)})


def test_the_judges_mix_is_the_rest_and_its_own_replies(sets: Path) -> None:
    public = of_part([*UNSPLIT, *GOEMOTIONS], "judge")
    found = Counter(made(sets, part="judge", ordinary_repeats=2))
    assert found == Counter({**dict.fromkeys(public, 1), **dict.fromkeys(REPLIES, 2)})


def test_detector_and_judge_share_no_row_and_leave_none_out(sets: Path) -> None:
    detector, judge = (set(made(sets, part=part)) for part in ("detector", "judge"))
    assert not detector & judge
    assert detector | judge == TRAIN.union(UNSPLIT, GOEMOTIONS, OWN[False], REPLIES)


def test_a_text_of_the_detectors_own_sets_is_never_the_judges(sets: Path) -> None:
    add(sets, *(f"{row.text};joy" for row in UNSPLIT | GOEMOTIONS))
    detector, judge = ({words(row.text) for row in made(sets, part=part)} for part in ("detector", "judge"))
    assert not detector & judge


@given(ROWS)
def test_the_parts_are_disjoint_by_text_and_together_complete(rows: list[Example]) -> None:
    detector, judge = of_part(rows, "detector"), of_part(rows, "judge")
    assert Counter(detector) + Counter(judge) == Counter(rows)
    assert not {words(row.text) for row in detector} & {words(row.text) for row in judge}


def test_the_judge_gets_about_a_quarter() -> None:
    rows = [Example(f"row {number}", 0) for number in range(4000)]
    assert 900 < len(of_part(rows, "judge")) < 1100


def test_no_evaluation_text_is_trained_on(sets: Path) -> None:
    held_out = [row.text for row in OWN[True]]
    add(sets, f"{held_out[0].upper()}!;joy", f"{held_out[1][:-1]} --;sadness", "they are DIGGING up our roads again;anger")
    trained = [words(row.text) for row in made(sets, near_duplicate_jaccard=0.7)]
    assert [text for text in [*EVALUATION, *held_out] if words(text) in trained] == []
    assert [text for text in trained if "digging" in text] == []


def test_the_evaluation_sets_are_all_there(sets: Path) -> None:
    texts = {name: [row.text for row in rows] for name, rows in evaluation_sets(sets).items()}
    assert texts == {
        "emotion_val": ["i feel like toast"],
        "emotion_test": ["i feel watched"],
        "goemotions_dev_strict": ["Yes"],
        "goemotions_dev_broad": ["rude, cat...", "Yes"],
        "ordinary_held_out_topics": [row.text for row in OWN[True]],
        "ordinary_fresh": ["They are digging up our road again!"],
    }


def test_a_mix_that_were_to_leak_is_refused(sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixture, "distinct", lambda rows, banned, jaccard: list(rows))
    with pytest.raises(LeakError, match="emotion_val"):
        made(sets)


def test_no_text_has_two_labels_and_none_stands_twice(sets: Path) -> None:
    add(sets, "my bike has been taken from the yard;sadness", "i feel grand!;joy", "I feel low: really low;fear")
    counted = Counter(words(row.text) for row in made(sets, ordinary_repeats=1))
    assert counted["i feel grand"] == 1
    assert not {"my bike has been taken from the yard", "i feel low really low", "i feel torn"} & set(counted)
    assert set(counted.values()) == {1}


def test_the_mix_depends_on_the_seed_alone(sets: Path) -> None:
    one, again, other = (made(sets, seed=seed, ordinary_repeats=8) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert Counter(one) == Counter(other)


@pytest.mark.parametrize("rows", [0, 1])
def test_no_more_unsplit_rows_are_drawn_than_asked_for(sets: Path, rows: int) -> None:
    assert len(UNSPLIT.intersection(made(sets, unsplit_rows=rows))) <= rows
    assert TRAIN.issubset(made(sets, unsplit_rows=rows))


@pytest.mark.parametrize("spelling", ["I feel like toast!", "i  feel -- like TOAST", "_i_ feel like toast"])
@pytest.mark.parametrize("jaccard", [0.8, 1.0])
def test_a_banned_text_is_removed_however_it_is_spelt(spelling: str, jaccard: float) -> None:
    bread = Example("i feel like bread", 1)
    assert distinct([Example(spelling, 1), bread], ["i feel like toast"], jaccard) == [bread]


def test_duplicates_are_kept_once_and_contradictions_not_at_all() -> None:
    rows = [Example("Hello!", 1), Example("hello", 1), Example("Bye", 0), Example("bye.", 3), Example("Oh", 5)]
    assert distinct(rows, [], 1.0) == [Example("Hello!", 1), Example("Oh", 5)]


def test_alike_rows_are_kept_once_whatever_their_labels() -> None:
    rows = [Example("the train was late again this morning", 3), Example("the train was late again this mornings", 0)]
    assert distinct(rows, [], 0.8) == rows[:1]
    assert distinct(rows, [], 1.0) == rows


@given(st.lists(st.builds(Example, st.sampled_from(["a", "A", "a!", "b c", "B, c", "d", "é", "É?"]), st.integers(0, 5))), st.data())
def test_what_is_left_is_new_and_unambiguous(rows: list[Example], data: st.DataObject) -> None:
    banned = [row.text for row in data.draw(st.lists(st.sampled_from(rows), max_size=3))] if rows else []
    left = distinct(rows, banned, 1.0)
    keys = [words(row.text) for row in left]
    assert len(set(keys)) == len(keys)
    assert not {words(text) for text in banned} & set(keys)
    assert all({row.label for row in rows if words(row.text) == key} == {kept.label} for key, kept in zip(keys, left, strict=True))


def test_natural_shares_are_those_of_the_train_split() -> None:
    model = [Example("sad", 0)] * 6 + [Example("glad", 1)] * 3 + [Example("oh", 5)]
    rows = [Example(f"row {number}", label) for label in (0, 1, 2, 5) for number in range(40)]
    drawn = Counter(row.label for row in with_shares_of(model, rows, 50, random.Random(0)))
    assert drawn == {0: 30, 1: 15, 5: 5}


def test_a_class_with_too_few_rows_gives_all_it_has() -> None:
    model = [Example("sad", 0), Example("glad", 1)]
    rows = [Example("low", 0), *(Example(f"row {number}", 1) for number in range(9))]
    drawn = with_shares_of(model, rows, 10, random.Random(0))
    assert Counter(row.label for row in drawn) == {0: 1, 1: 5}
    assert len(set(drawn)) == 6


def test_the_recipe_decides_whether_shares_are_natural(sets: Path) -> None:
    natural = made(sets, unsplit_rows=2, unsplit_classes="natural")
    assert not {Example("i feel shocked", 5)} & set(natural)
    assert Example("i feel shocked", 5) in made(sets, unsplit_rows=2)
