"""Scores of replies against those of an idle server."""

import pytest

from load.sweep.correctness import (
    Reference,
    common_prefix,
    is_closest,
    score_outcomes,
    similarity,
)
from models.emotions import LABELS, Emotion
from unit.load.builders import reply

TEXTS = {label: f"I {label} you so much that it hurts" for label in LABELS}
REFERENCES = [Reference(texts=TEXTS, adapters={label: f"{label}@x" for label in LABELS})]


def test_text_with_another_end_is_closest_to_its_persona() -> None:
    assert is_closest("I joy you so much that we sing", Emotion.JOY, TEXTS)
    assert not is_closest("I joy you so much that it hurts", Emotion.ANGER, TEXTS)


def test_common_prefix_is_a_share_of_the_longer_text() -> None:
    assert common_prefix("a b c", "a b d e") == pytest.approx(0.5)
    assert common_prefix("", "") == 1


def test_similarity_prefers_a_longer_common_prefix() -> None:
    assert similarity("a b", "a b") > similarity("a b", "a c") > similarity("a b", "c b")


def test_scores_replies_against_the_idle_server() -> None:
    joy = {"detected": "joy", "adapter": "joy@x"}
    correct = reply(0, **joy, message="a", probe=0, text=TEXTS[Emotion.JOY])
    other_text = reply(0, **joy, message="a", probe=0, text=TEXTS[Emotion.FEAR])
    other_adapter = reply(0, detected="joy", adapter="fear@x", message="b", text="any")
    safety_reply = reply(0, detected="joy", adapter=None, completion_tokens=0, message="c")
    outcomes = [correct, other_text, other_adapter, safety_reply]
    score = score_outcomes(outcomes, {"a": Emotion.JOY, "b": Emotion.FEAR}, REFERENCES)
    assert (score.emotions, score.correct_emotions) == (3, 2)
    assert (score.adapters, score.correct_adapters) == (3, 2)
    assert (score.probes, score.closest, score.identical) == (2, 1, 1)
    assert score.wrong[0].startswith("joy: I fear you")
