"""The training mix of a detector: disjoint parts, no evaluation text, no contradiction, seeded."""

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.datasets import mixture, sources
from training.datasets.mixture import (
    deduplicate,
    evaluation_sets,
    rows_of_part,
    sample_with_shares,
    training_examples,
)
from training.datasets.sources import Example
from training.errors import LeakError
from training.recipe import DetectorRecipe

EVALUATION = ("i feel like toast", "i feel watched", "rude cat", "yes")
TRAIN = {Example("i feel low; really low", 0), Example("i feel grand", 1)}
UNSPLIT = {Example("i feel small, and tired", 0), Example("i feel shocked", 5)}
GOEMOTIONS = {Example("Stop it", 3), Example("Stop that", 3), Example("Awww", 2)}
OWN = {
    False: [
        Example("My bike has been taken from the yard.", 3),
        Example("Nan left me her piano, of all things.", 5),
    ],
    True: [
        Example("We finally saw the fjords at dawn.", 1),
        Example("The vet called, and it is not good.", 0),
    ],
}
FRESH = "They are digging up our road again!"
REPLIES = [
    Example("Oh no, your poor bike, I am fuming for you.", 3),
    Example("A piano? I did not see that coming!", 5),
]
ROWS = st.lists(st.builds(Example, st.text("ab !", max_size=4), st.integers(0, 5)))
SIMILAR_ROWS = st.lists(
    st.builds(
        Example,
        st.sampled_from(["a", "A", "a!", "b c", "B, c", "d", "é", "É?"]),
        st.integers(0, 5),
    )
)


@pytest.fixture
def sets(public_sets: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny public sets, with a few own messages instead of the thousands that ship."""
    monkeypatch.setattr(sources, "load_ordinary", lambda held_out: list(OWN[held_out]))
    monkeypatch.setattr(sources, "load_fresh", lambda: [Example(FRESH, 3)])
    monkeypatch.setattr(sources, "load_englishes", lambda: [Example("The tap burst, lah.", 3)])
    monkeypatch.setattr(sources, "load_emoji", lambda: [Example("😡 again", 3)])
    monkeypatch.setattr(sources, "load_judge_replies", lambda: list(REPLIES))
    return public_sets


def words(text: str) -> str:
    letters = (character if character.isalnum() else " " for character in text.lower())
    return " ".join("".join(letters).split())


def mix(sets: Path, **fields: object) -> list[Example]:
    return training_examples(DetectorRecipe.model_validate({"base": "any", **fields}), sets)


def append_to_train(sets: Path, *lines: str) -> None:
    with (sets / "emotion" / "train.txt").open("a", encoding="utf-8") as stream:
        stream.writelines(f"{line}\n" for line in ("", *lines))


def test_mix_holds_public_rows_once_and_own_rows_repeated(sets: Path) -> None:
    public = TRAIN.union(rows_of_part([*UNSPLIT, *GOEMOTIONS], "detector"))
    expected = {**dict.fromkeys(public, 1), **dict.fromkeys(OWN[False], 3)}
    assert Counter(mix(sets, ordinary_repeats=3)) == expected


def test_mix_of_the_judge_holds_its_part_and_its_replies(sets: Path) -> None:
    public = rows_of_part([*UNSPLIT, *GOEMOTIONS], "judge")
    expected = {**dict.fromkeys(public, 1), **dict.fromkeys(REPLIES, 2)}
    assert Counter(mix(sets, part="judge", ordinary_repeats=2)) == expected


def test_detector_and_judge_together_use_every_row_once(sets: Path) -> None:
    detector = set(mix(sets, part="detector"))
    judge = set(mix(sets, part="judge"))
    assert not detector & judge
    assert detector | judge == TRAIN.union(UNSPLIT, GOEMOTIONS, OWN[False], REPLIES)


def test_judge_never_gets_a_text_of_the_train_split(sets: Path) -> None:
    append_to_train(sets, *(f"{row.text};joy" for row in UNSPLIT | GOEMOTIONS))
    detector = {words(row.text) for row in mix(sets, part="detector")}
    judge = {words(row.text) for row in mix(sets, part="judge")}
    assert not detector & judge


@given(ROWS)
def test_parts_are_disjoint_by_text_and_complete(rows: list[Example]) -> None:
    detector = rows_of_part(rows, "detector")
    judge = rows_of_part(rows, "judge")
    assert Counter(detector) + Counter(judge) == Counter(rows)
    assert not {words(row.text) for row in detector} & {words(row.text) for row in judge}


def test_judge_gets_about_a_quarter() -> None:
    rows = [Example(f"row {number}", 0) for number in range(4000)]
    assert 900 < len(rows_of_part(rows, "judge")) < 1100


def test_mix_holds_no_evaluation_text(sets: Path) -> None:
    held_out = [row.text for row in OWN[True]]
    append_to_train(
        sets,
        f"{held_out[0].upper()}!;joy",
        f"{held_out[1][:-1]} --;sadness",
        "they are DIGGING up our roads again;anger",
    )
    mixed = [words(row.text) for row in mix(sets, near_duplicate_jaccard=0.7)]
    assert [text for text in [*EVALUATION, *held_out] if words(text) in mixed] == []
    assert [text for text in mixed if "digging" in text] == []


def test_loads_all_evaluation_sets(sets: Path) -> None:
    texts = {name: [row.text for row in rows] for name, rows in evaluation_sets(sets).items()}
    assert texts == {
        "emotion_val": ["i feel like toast"],
        "emotion_test": ["i feel watched"],
        "goemotions_dev_strict": ["Yes"],
        "goemotions_dev_broad": ["rude, cat...", "Yes"],
        "ordinary_held_out_topics": [row.text for row in OWN[True]],
        "ordinary_fresh": [FRESH],
        "ordinary_englishes": ["The tap burst, lah."],
        "emoji": ["😡 again"],
    }


def test_rejects_a_mix_with_a_leak(sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixture, "deduplicate", lambda rows, banned, jaccard: list(rows))
    with pytest.raises(LeakError, match="emotion_val"):
        mix(sets)


def test_mix_holds_no_duplicate_and_no_text_with_two_labels(sets: Path) -> None:
    append_to_train(
        sets,
        "my bike has been taken from the yard;sadness",
        "i feel grand!;joy",
        "I feel low: really low;fear",
    )
    counted = Counter(words(row.text) for row in mix(sets, ordinary_repeats=1))
    assert counted["i feel grand"] == 1
    ambiguous = {"my bike has been taken from the yard", "i feel low really low", "i feel torn"}
    assert not ambiguous & set(counted)
    assert set(counted.values()) == {1}


def test_order_depends_only_on_the_seed(sets: Path) -> None:
    first = mix(sets, seed=1, ordinary_repeats=8)
    assert first == mix(sets, seed=1, ordinary_repeats=8)
    other = mix(sets, seed=2, ordinary_repeats=8)
    assert first != other
    assert Counter(first) == Counter(other)


@pytest.mark.parametrize("rows", [0, 1])
def test_samples_at_most_the_given_number_of_unsplit_rows(sets: Path, rows: int) -> None:
    assert len(UNSPLIT.intersection(mix(sets, unsplit_rows=rows))) <= rows
    assert TRAIN.issubset(mix(sets, unsplit_rows=rows))


@pytest.mark.parametrize(
    "spelling", ["I feel like toast!", "i  feel -- like TOAST", "_i_ feel like toast"]
)
@pytest.mark.parametrize("jaccard", [0.8, 1.0])
def test_removes_a_banned_text_in_any_spelling(spelling: str, jaccard: float) -> None:
    bread = Example("i feel like bread", 1)
    assert deduplicate([Example(spelling, 1), bread], ["i feel like toast"], jaccard) == [bread]


def test_keeps_the_first_duplicate_and_no_contradiction() -> None:
    rows = [
        Example("Hello!", 1),
        Example("hello", 1),
        Example("Bye", 0),
        Example("bye.", 3),
        Example("Oh", 5),
    ]
    assert deduplicate(rows, [], 1.0) == [Example("Hello!", 1), Example("Oh", 5)]


def test_keeps_the_first_near_duplicate_of_any_label() -> None:
    rows = [
        Example("the train was late again this morning", 3),
        Example("the train was late again this mornings", 0),
    ]
    assert deduplicate(rows, [], 0.8) == rows[:1]
    assert deduplicate(rows, [], 1.0) == rows


@given(SIMILAR_ROWS, st.data())
def test_deduplicated_rows_are_new_and_unambiguous(
    rows: list[Example], data: st.DataObject
) -> None:
    drawn = data.draw(st.lists(st.sampled_from(rows), max_size=3)) if rows else []
    banned = [row.text for row in drawn]
    kept = deduplicate(rows, banned, 1.0)
    keys = [words(row.text) for row in kept]
    assert len(set(keys)) == len(keys)
    assert not {words(text) for text in banned} & set(keys)
    for row in kept:
        same = [other for other in rows if words(other.text) == words(row.text)]
        assert {other.label for other in same} == {row.label}


def test_sample_has_the_shares_of_the_reference() -> None:
    reference = [Example("sad", 0)] * 6 + [Example("glad", 1)] * 3 + [Example("oh", 5)]
    rows = [Example(f"row {number}", label) for label in (0, 1, 2, 5) for number in range(40)]
    sample = sample_with_shares(reference, rows, 50, random.Random(0))
    assert Counter(row.label for row in sample) == {0: 30, 1: 15, 5: 5}


def test_class_with_too_few_rows_gives_all() -> None:
    reference = [Example("sad", 0), Example("glad", 1)]
    rows = [Example("low", 0), *(Example(f"row {number}", 1) for number in range(9))]
    sample = sample_with_shares(reference, rows, 10, random.Random(0))
    assert Counter(row.label for row in sample) == {0: 1, 1: 5}
    assert len(set(sample)) == 6


def test_recipe_chooses_the_shares_of_the_unsplit_rows(sets: Path) -> None:
    natural = mix(sets, unsplit_rows=2, unsplit_classes="natural")
    assert not {Example("i feel shocked", 5)} & set(natural)
    assert Example("i feel shocked", 5) in mix(sets, unsplit_rows=2)
