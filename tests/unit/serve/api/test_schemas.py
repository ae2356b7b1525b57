"""Request bodies that the project's own API accepts and rejects, and what its responses hold."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from models.emotions import LABELS, Emotion
from models.safety.levels import Category, Finding, Level
from models.text.normalize import normalize
from serve.api.schemas import (
    MAX_TEXT_CHARACTERS,
    DetectRequest,
    RespondRequest,
    detected_out,
    done_out,
    safety_out,
)
from serve.config import MAX_TEXTS
from serve.detector.protocol import Detection
from serve.engine.protocol import TextChunk
from serve.pipeline.answer import Answer, emotion_scores
from serve.responder.mix import Mix
from support.fakes import message, scores

BOTH = pytest.mark.parametrize("kind", [RespondRequest, DetectRequest])
WHITE_SPACE = st.text(" \t\n\r\v\f\u00a0\u2003\u3000", max_size=20)
READABLE = st.text(max_size=60).filter(lambda text: normalize(text) and "\0" not in text)
VIOLENCE = Finding(Level.CRISIS, Category.VIOLENCE)
SAFETY = {"level": "crisis", "category": "violence", "action": "calm-answer"}
NOT_TEXT = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary()
    | st.dictionaries(st.text(max_size=3), READABLE)
)
INVALID_FIELDS = [
    ("text", b"bytes"),
    ("emotion", "Joy"),
    ("emotion", None),
    ("stream", 1),
    ("stream", "true"),
    ("max_tokens", "5"),
    ("max_tokens", 5.0),
    ("max_tokens", 0),
    ("max_tokens", 257),
    ("temperature", True),
    ("temperature", -0.1),
    ("temperature", 2.1),
    ("temperature", float("nan")),
    ("top_p", 0),
    ("top_p", float("inf")),
    ("seed", -1),
    ("seed", 2**63),
]


def invalid_fields(kind: type[BaseModel], **body: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(body)
    return [str(row["loc"][0]) for row in caught.value.errors()]


@BOTH
@given(before=READABLE, after=st.text(max_size=5))
def test_rejects_nul_anywhere(kind: type[BaseModel], before: str, after: str) -> None:
    assert invalid_fields(kind, text=f"{before}\0{after}") == ["text"]


@BOTH
@given(text=WHITE_SPACE)
def test_rejects_only_white_space(kind: type[BaseModel], text: str) -> None:
    assert invalid_fields(kind, text=text) == ["text"]


@BOTH
@given(
    letter=st.characters(exclude_categories=("Cs", "Z", "C")).filter(normalize),
    excess=st.integers(1, 500),
)
def test_limits_the_characters_of_a_text(kind: Any, letter: str, excess: int) -> None:
    longest = letter * MAX_TEXT_CHARACTERS
    assert kind.model_validate({"text": longest}).text == longest
    assert invalid_fields(kind, text=longest + letter * excess) == ["text"]


@BOTH
@given(text=READABLE, surrogate=st.characters(categories=["Cs"]))
def test_rejects_lone_surrogates(kind: type[BaseModel], text: str, surrogate: str) -> None:
    assert invalid_fields(kind, text=text + surrogate) == ["text"]


@BOTH
@given(value=NOT_TEXT)
def test_rejects_a_text_of_another_type(kind: type[BaseModel], value: object) -> None:
    assert invalid_fields(kind, text=value) == ["text"]


@BOTH
@given(name=st.text(min_size=1, max_size=12))
def test_rejects_an_unknown_field_by_name(kind: type[BaseModel], name: str) -> None:
    assume(name not in kind.model_fields)
    assert invalid_fields(kind, text="hello", **{name: 1}) == [name]


@BOTH
@given(text=READABLE)
def test_accepts_any_other_text_unchanged(kind: Any, text: str) -> None:
    assert kind.model_validate({"text": text}).text == text


@given(texts=st.lists(READABLE, min_size=1, max_size=8))
def test_keeps_the_order_of_several_texts(texts: list[str]) -> None:
    assert DetectRequest.model_validate({"text": texts}).text == texts


def test_limits_the_number_of_texts() -> None:
    assert len(DetectRequest.model_validate({"text": ["a"] * MAX_TEXTS}).text) == MAX_TEXTS
    assert invalid_fields(DetectRequest, text=["a"] * (MAX_TEXTS + 1)) == ["text"]
    assert invalid_fields(DetectRequest, text=[]) == ["text"]


@given(good=st.lists(READABLE, max_size=4), bad=WHITE_SPACE | st.integers())
def test_names_the_place_of_an_invalid_text(good: list[str], bad: object) -> None:
    with pytest.raises(ValidationError) as caught:
        DetectRequest.model_validate({"text": [*good, bad]})
    assert [row["loc"][-1] for row in caught.value.errors()] == [len(good)]


@pytest.mark.parametrize(("field", "value"), INVALID_FIELDS)
def test_rejects_a_wrong_type_or_range_instead_of_converting_it(field: str, value: object) -> None:
    assert invalid_fields(RespondRequest, **{"text": "hello", field: value}) == [field]


@pytest.mark.parametrize("harm", [None, VIOLENCE])
def test_done_holds_everything_but_the_text(harm: Finding | None) -> None:
    answer = Answer(message("hello"))
    answer.emotion = emotion_scores(scores(Emotion.LOVE))
    answer.persona = None if harm else "love"
    answer.adapter = None if harm else "love@abc"
    answer.mix = None if harm else Mix((("love", 1.0),))
    answer.safety = harm
    answer.prompt_tokens = 5
    answer.add(TextChunk("Oh", 2))
    answer.finish("stop")
    label_scores = {label: 0.75 if label is Emotion.LOVE else 0.05 for label in LABELS}
    assert done_out(answer).model_dump(mode="json") == {
        "id": "m-1",
        "emotion": {
            "label": "love",
            "score": 0.75,
            "scores": label_scores,
            "language": None,
            "reliable": True,
        },
        "persona": None if harm else "love",
        "adapter": None if harm else "love@abc",
        "blend": None if harm else {"love": 1.0},
        "intensity": None if harm else 1.0,
        "candidates": None,
        "safety": SAFETY if harm else None,
        "complete": True,
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 5, "completion_tokens": 2},
        "timings_ms": answer.timer.timings_ms(),
    }


def test_an_answer_of_a_persona_has_no_safety() -> None:
    assert safety_out(Answer(message("hello"))) is None


def test_a_concern_is_answered_gently_and_has_no_category() -> None:
    answer = Answer(message("hello"))
    answer.safety = Finding(Level.CONCERN)
    expected = {"level": "concern", "category": None, "action": "gentle-answer"}
    sent = safety_out(answer)
    assert sent is not None
    assert sent.model_dump(mode="json") == expected


def test_a_detection_is_sent_with_its_harm() -> None:
    sent = detected_out(Detection(scores(Emotion.FEAR), VIOLENCE, "fake"))
    assert (sent.label, sent.score) == ("fear", 0.75)
    assert (sent.level, sent.harm, sent.complete) == ("crisis", "violence", True)
    assert list(sent.scores) == list(LABELS)


def test_a_detection_in_another_language_is_marked() -> None:
    detection = Detection(scores(Emotion.JOY), language="ja", reliable=False, complete=False)
    sent = detected_out(detection)
    assert (sent.language, sent.reliable, sent.complete) == ("ja", False, False)


@BOTH
@pytest.mark.parametrize("text", ["\u200b", " \u200d\ufeff ", "&nbsp;&#8203;", "\u2800\ufe0f"])
def test_rejects_a_text_of_invisible_characters_only(kind: Any, text: str) -> None:
    assert invalid_fields(kind, text=text) == ["text"]
