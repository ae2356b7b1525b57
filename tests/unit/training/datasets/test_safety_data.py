"""Messages for a safety classifier: well-formed, and none of the test set is trained on."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from training.datasets.persona_pairs import DATA

SAFETY = DATA / "safety"
TEST = SAFETY / "test.jsonl"
TRAINING = sorted(file for file in SAFETY.glob("*.jsonl") if file != TEST)
LEVELS = {"crisis", "concern", "none"}
CATEGORIES = {"self-harm", "violence", None}


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def text_of(row: dict[str, Any]) -> str:
    if "text" in row:
        return str(row["text"])
    return "\n".join(turn["text"] for turn in row["turns"])


@pytest.mark.parametrize("file", [TEST, *TRAINING], ids=lambda file: file.stem)
def test_rows_have_a_text_a_level_and_a_category(file: Path) -> None:
    for row in rows_of(file):
        assert ("text" in row) != ("turns" in row)
        assert text_of(row).strip()
        assert row["level"] in LEVELS
        assert row["category"] in CATEGORIES
        assert row["level"] != "none" or row["category"] is None
        if "turns" in row:
            assert row["turns"][-1]["role"] == "user"


def test_training_has_no_message_of_the_test_set() -> None:
    known = {text_of(row).casefold() for row in rows_of(TEST)}
    shared = [text_of(row) for file in TRAINING for row in rows_of(file)]
    assert not known & {text.casefold() for text in shared}


def test_a_third_of_the_training_messages_are_harmless() -> None:
    levels = Counter(row["level"] for file in TRAINING for row in rows_of(file))
    assert levels["none"] > sum(levels.values()) / 3


@pytest.mark.parametrize(("name", "count"), [("fresh_englishes", 240), ("emoji", 120)])
def test_fresh_messages_are_balanced(name: str, count: int) -> None:
    emotions = Counter(row["emotion"] for row in rows_of(DATA / f"{name}.jsonl"))
    assert set(emotions.values()) == {count // 6}
