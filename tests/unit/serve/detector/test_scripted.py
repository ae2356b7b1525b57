"""Scripted classifier: deterministic detections without weights."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.emotions import LABELS, Emotion
from models.prompt import Turn
from models.safety.levels import CONCERN, Category, Level
from serve.detector.scripted import ScriptedClassifier


@pytest.mark.parametrize("label", LABELS)
def test_detects_the_emotion_that_the_text_names(label: Emotion) -> None:
    [found] = ScriptedClassifier().classify([f"I feel {label.upper()} today"])
    assert found.scores.index(max(found.scores)) == label.id
    assert found.harm is None


@pytest.mark.parametrize("category", Category)
def test_detects_the_harm_that_the_text_names(category: Category) -> None:
    [found] = ScriptedClassifier().classify([f"about {category}"])
    assert (found.level, found.harm) == (Level.CRISIS, category)


def test_detects_a_concern_that_the_text_names() -> None:
    [found] = ScriptedClassifier().classify(["a concern"])
    assert found.finding == CONCERN


def test_emotion_is_that_of_the_last_turn_and_harm_that_of_any_turn_of_the_user() -> None:
    turns = (Turn("user", "violence"), Turn("assistant", "self-harm"), Turn("user", "joy"))
    [found, harmless] = ScriptedClassifier().classify([turns, turns[1:]])
    assert found.scores.index(max(found.scores)) == Emotion.JOY.id
    assert (found.harm, harmless.finding) == (Category.VIOLENCE, None)


@given(texts=st.lists(st.text(max_size=20), max_size=6))
def test_is_deterministic_and_scores_sum_to_one(texts: list[str]) -> None:
    rows = ScriptedClassifier().classify(texts)
    assert rows == [ScriptedClassifier().classify([text])[0] for text in texts]
    assert all(len(row.scores) == len(LABELS) for row in rows)
    assert all(sum(row.scores) == pytest.approx(1) for row in rows)
