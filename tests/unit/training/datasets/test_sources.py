"""Readers of the public sets and of the project's own messages."""

from collections import Counter
from pathlib import Path

import pytest

from training.datasets import sources
from training.datasets.persona_pairs import HELD_OUT_TOPICS, UNLABELLED_TOPICS
from training.datasets.sources import GOEMOTIONS_BROAD, GOEMOTIONS_STRICT, Example
from training.errors import DatasetError


def test_splits_emotion_rows_at_the_last_semicolon(public_sets: Path) -> None:
    rows = sources.load_emotion("train", public_sets)
    assert rows[:2] == [Example("i feel low; really low", 0), Example("i feel grand", 1)]
    assert sources.load_emotion("val", public_sets) == [Example("i feel like toast", 2)]


def test_reads_quoted_texts_of_the_unsplit_set(public_sets: Path) -> None:
    assert sources.load_emotion_unsplit(public_sets)[0] == Example("i feel small, and tired", 0)


def test_rejects_an_unknown_label(public_sets: Path) -> None:
    (public_sets / "emotion" / "val.txt").write_text("i feel meh;boredom\n")
    with pytest.raises(ValueError, match="boredom"):
        sources.load_emotion("val", public_sets)


def test_broad_mapping_keeps_rows_whose_labels_are_one_emotion(public_sets: Path) -> None:
    rows = sources.load_goemotions("train", public_sets, GOEMOTIONS_BROAD)
    assert rows == [
        Example("Stop it", 3),
        Example("Stop that", 3),
        Example("Awww", 2),
        Example("Rude cat", 3),
    ]


def test_strict_mapping_keeps_only_the_six_names(public_sets: Path) -> None:
    train = sources.load_goemotions("train", public_sets, GOEMOTIONS_STRICT)
    assert train == [Example("Stop it", 3)]
    dev = sources.load_goemotions("dev", public_sets, GOEMOTIONS_STRICT)
    assert dev == [Example("Yes", 1)]


def test_mappings_agree_on_the_six_names() -> None:
    assert GOEMOTIONS_STRICT == {
        "sadness": 0,
        "joy": 1,
        "love": 2,
        "anger": 3,
        "fear": 4,
        "surprise": 5,
    }
    assert GOEMOTIONS_BROAD.items() >= GOEMOTIONS_STRICT.items()


def test_ordinary_messages_are_split_by_topic() -> None:
    train = sources.load_ordinary(held_out=False)
    held_out = sources.load_ordinary(held_out=True)
    assert not {row.text for row in train} & {row.text for row in held_out}
    assert min(Counter(row.label for row in train + held_out).values()) >= 400
    assert {row.label for row in held_out} == set(range(6))


def test_ordinary_messages_leave_out_unlabelled_topics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = ["work", *sorted(HELD_OUT_TOPICS), *sorted(UNLABELLED_TOPICS)]
    for folder in ("messages", "personas"):
        (tmp_path / folder).mkdir()
        for label in GOEMOTIONS_STRICT:
            rows = [
                f'{{"topic": "{topic}", "message": "{folder} {label} {topic}"}}\n'
                for topic in topics
            ]
            (tmp_path / folder / f"{label}.jsonl").write_text("".join(rows))
    monkeypatch.setattr(sources, "DATA", tmp_path)
    for held_out, expected in ((False, {"work"}), (True, HELD_OUT_TOPICS)):
        found = {(row.text, row.label) for row in sources.load_ordinary(held_out)}
        assert found == {
            (f"{folder} {name} {topic}", label)
            for folder in ("messages", "personas")
            for name, label in GOEMOTIONS_STRICT.items()
            for topic in expected
        }


def test_hub_rows_of_the_unsplit_set_are_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of val and test and texts with two labels are removed, whatever their spelling."""
    hub = {
        ("split", "validation"): [Example("i feel like toast", 1)],
        ("split", "test"): [Example("i feel watched", 4)],
        ("unsplit", "train"): [
            Example("i feel small", 0),
            Example("I feel -- like TOAST", 1),
            Example("i feel watched!", 5),
            Example("i feel torn", 3),
            Example("i feel Torn", 4),
            Example("i feel small", 0),
            Example("i feel shocked", 5),
        ],
    }
    monkeypatch.setattr(sources, "_hub_rows", lambda repo, config, split: hub[config, split])
    found = sources.load_emotion_unsplit(None)
    assert found == [Example("i feel small", 0), Example("i feel shocked", 5)]


def test_unreachable_hub_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("a long reason")

    monkeypatch.setattr("datasets.load_dataset", unreachable)
    with pytest.raises(DatasetError, match=r"ConnectionError.*--data FOLDER"):
        sources.load_emotion("val", None)
    with pytest.raises(DatasetError, match=r"go_emotions.*--data FOLDER"):
        sources.load_goemotions("dev", None, GOEMOTIONS_STRICT)
