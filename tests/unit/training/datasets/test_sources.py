"""The detector's data: how the public sets and the project's own messages are read."""

from collections import Counter
from pathlib import Path

import pytest

from training.datasets import sources
from training.datasets.persona_pairs import HELD_OUT_TOPICS, UNLABELLED_TOPICS
from training.datasets.sources import GOEMOTIONS_BROAD, GOEMOTIONS_STRICT, Example


def test_an_emotion_split_is_read_up_to_its_last_semicolon(public_sets: Path) -> None:
    assert sources.emotion("train", public_sets)[:2] == [Example("i feel low; really low", 0), Example("i feel grand", 1)]
    assert sources.emotion("val", public_sets) == [Example("i feel like toast", 2)]


def test_the_unsplit_set_is_read_with_its_quotes(public_sets: Path) -> None:
    assert sources.emotion_unsplit(public_sets)[0] == Example("i feel small, and tired", 0)


def test_an_unknown_label_is_refused(public_sets: Path) -> None:
    (public_sets / "emotion" / "val.txt").write_text("i feel meh;boredom\n")
    with pytest.raises(ValueError, match="boredom"):
        sources.emotion("val", public_sets)


def test_the_broad_mapping_keeps_rows_whose_labels_are_one_emotion(public_sets: Path) -> None:
    kept = [Example("Stop it", 3), Example("Stop that", 3), Example("Awww", 2), Example("Rude cat", 3)]
    assert sources.goemotions("train", public_sets, GOEMOTIONS_BROAD) == kept


def test_the_strict_mapping_keeps_only_the_six_names(public_sets: Path) -> None:
    assert sources.goemotions("train", public_sets, GOEMOTIONS_STRICT) == [Example("Stop it", 3)]
    assert sources.goemotions("dev", public_sets, GOEMOTIONS_STRICT) == [Example("Yes", 1)]


def test_the_mappings_agree_on_the_six_names() -> None:
    assert GOEMOTIONS_STRICT == {"sadness": 0, "joy": 1, "love": 2, "anger": 3, "fear": 4, "surprise": 5}
    assert GOEMOTIONS_BROAD.items() >= GOEMOTIONS_STRICT.items()


def test_ordinary_messages_are_split_by_topic() -> None:
    train, held_out = sources.ordinary(held_out=False), sources.ordinary(held_out=True)
    assert not {row.text for row in train} & {row.text for row in held_out}
    assert min(Counter(row.label for row in train + held_out).values()) >= 400
    assert set(Counter(row.label for row in held_out)) == set(range(6))


def test_ordinary_messages_have_only_labelled_topics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topics = ["work", *sorted(HELD_OUT_TOPICS), *sorted(UNLABELLED_TOPICS)]
    for kind in ("messages", "personas"):
        (tmp_path / kind).mkdir()
        for label in GOEMOTIONS_STRICT:
            rows = [f'{{"topic": "{topic}", "message": "{kind} {label} {topic}"}}\n' for topic in topics]
            (tmp_path / kind / f"{label}.jsonl").write_text("".join(rows))
    monkeypatch.setattr(sources, "DATA", tmp_path)
    for held_out, wanted in ((False, {"work"}), (True, HELD_OUT_TOPICS)):
        found = {(row.text, row.label) for row in sources.ordinary(held_out)}
        assert found == {
            (f"{kind} {name} {topic}", label)
            for kind in ("messages", "personas")
            for name, label in GOEMOTIONS_STRICT.items()
            for topic in wanted
        }
