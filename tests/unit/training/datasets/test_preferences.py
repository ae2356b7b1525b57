"""Preference pairs of marked answers."""

from models.emotions import Emotion
from training.datasets.preferences import preferences
from training.datasets.read_labels import LabelledAnswer, Mark


def marked(message: str, *marks: Mark, persona: Emotion = Emotion.JOY) -> list[LabelledAnswer]:
    """Return an answer with each mark, named by its place."""
    return [
        LabelledAnswer(persona=persona, message=message, answer=f"{message} {place}", mark=mark)
        for place, mark in enumerate(marks)
    ]


def test_the_higher_mark_of_the_same_message_and_persona_is_chosen() -> None:
    rows = marked("a", 0, 2, 1) + marked("a", 2, persona=Emotion.FEAR) + marked("b", 1, 1)
    found = preferences(rows, 10, seed=0)
    assert {(each.chosen, each.rejected) for each in found} == {
        ("a 1", "a 0"),
        ("a 1", "a 2"),
        ("a 2", "a 0"),
    }
    assert {each.persona for each in found} == {Emotion.JOY}


def test_a_message_gives_no_more_than_its_limit_and_the_seed_decides_which() -> None:
    rows = marked("a", 0, 0, 0, 2, 2, 2) + marked("b", 0, 1)
    first, other = preferences(rows, 2, seed=0), preferences(rows, 2, seed=1)
    assert [each.message for each in first] == ["a", "a", "b"]
    assert first == preferences(rows, 2, seed=0)
    assert first != other
