"""What the API's own requests accept and refuse, whatever the text."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from models.detector.harm import Category
from models.emotions import LABELS, Emotion
from serve.api.openai.routes import ChatRequest
from serve.api.schemas import MAX_TEXT, MAX_TEXTS, DetectRequest, RespondRequest, done_out
from serve.pipeline.messages import Finished, Flagged
from serve.pipeline.respond import to_detected
from support.fakes import scores

BOTH = pytest.mark.parametrize("kind", [RespondRequest, DetectRequest])
WHITE = st.text(" \t\n\r\v\f\u00a0\u2003\u3000", max_size=20)
READABLE = st.text(max_size=60).filter(lambda text: text.strip() and "\0" not in text)
NOT_TEXT = st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.dictionaries(st.text(max_size=3), READABLE)
WRONG = [
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


def refused(kind: type[BaseModel], **body: Any) -> list[str]:
    """The fields that are wrong."""
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(body)
    return [str(row["loc"][0]) for row in caught.value.errors()]


@BOTH
@given(before=READABLE, after=st.text(max_size=5))
def test_nul_is_refused_wherever_it_stands(kind: type[BaseModel], before: str, after: str) -> None:
    assert refused(kind, text=f"{before}\0{after}") == ["text"]


@BOTH
@given(text=WHITE)
def test_white_space_alone_is_refused(kind: type[BaseModel], text: str) -> None:
    assert refused(kind, text=text) == ["text"]


@BOTH
@given(letter=st.characters(exclude_categories=("Cs", "Z", "C")), over=st.integers(1, 500))
def test_a_text_over_the_limit_is_refused_whatever_its_characters(kind: type[BaseModel], letter: str, over: int) -> None:
    assert kind.model_validate({"text": letter * MAX_TEXT}).text == letter * MAX_TEXT  # type: ignore[attr-defined]
    assert refused(kind, text=letter * (MAX_TEXT + over)) == ["text"]


@BOTH
@given(text=READABLE, surrogate=st.characters(categories=["Cs"]))
def test_a_lone_surrogate_is_refused(kind: type[BaseModel], text: str, surrogate: str) -> None:
    assert refused(kind, text=text + surrogate) == ["text"]


@BOTH
@given(value=NOT_TEXT)
def test_only_a_string_is_a_text(kind: type[BaseModel], value: object) -> None:
    assert refused(kind, text=value) == ["text"]


@BOTH
@given(name=st.text(min_size=1, max_size=12))
def test_an_unknown_field_is_refused_by_name(kind: type[BaseModel], name: str) -> None:
    assume(name not in kind.model_fields)
    assert refused(kind, text="hello", **{name: 1}) == [name]


@BOTH
@given(text=READABLE)
def test_anything_else_is_accepted_unchanged(kind: type[BaseModel], text: str) -> None:
    assert kind.model_validate({"text": text}).text == text  # type: ignore[attr-defined]


@given(texts=st.lists(READABLE, min_size=1, max_size=8))
def test_several_texts_keep_their_order(texts: list[str]) -> None:
    assert DetectRequest.model_validate({"text": texts}).text == texts


def test_as_many_texts_as_allowed_and_not_one_more() -> None:
    assert len(DetectRequest.model_validate({"text": ["a"] * MAX_TEXTS}).text) == MAX_TEXTS
    assert refused(DetectRequest, text=["a"] * (MAX_TEXTS + 1)) == ["text"]
    assert refused(DetectRequest, text=[]) == ["text"]


@given(good=st.lists(READABLE, max_size=4), bad=WHITE | st.integers())
def test_one_bad_text_of_several_is_named_by_its_place(good: list[str], bad: object) -> None:
    with pytest.raises(ValidationError) as caught:
        DetectRequest.model_validate({"text": [*good, bad]})
    assert [row["loc"][-1] for row in caught.value.errors()] == [len(good)]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_wrong_type_or_range_is_refused_rather_than_converted(field: str, value: object) -> None:
    assert refused(RespondRequest, **{"text": "hello", field: value}) == [field]


@pytest.mark.parametrize("stop", ["", [""], ["a"] * 5, "a" * 65, "\ud800", 5])
def test_a_stop_string_that_an_engine_would_choke_on_is_refused(stop: object) -> None:
    assert refused(ChatRequest, messages=[{"role": "user", "content": "hello"}], stop=stop) == ["stop"]


@pytest.mark.parametrize("content", [[], "", [{"type": "text", "text": " "}], [{"type": "image_url"}], ["hello"], None])
def test_a_message_without_text_is_refused(content: object) -> None:
    assert set(refused(ChatRequest, messages=[{"role": "user", "content": content}])) == {"messages"}


@pytest.mark.parametrize("flagged", [None, Flagged(Category.VIOLENCE)])
def test_done_holds_everything_but_the_text(flagged: Flagged | None) -> None:
    times = {"queue": 1.0, "detect": 2.0, "first_token": 3.0, "generate": 4.0, "total": 10.0}
    finished = Finished("stop", 5, 2, times, "love@abc")
    assert done_out("resp-1", to_detected(scores(Emotion.LOVE)), flagged, finished).model_dump(mode="json") == {
        "id": "resp-1",
        "emotion": {"label": "love", "score": 0.75, "scores": {label: 0.75 if label is Emotion.LOVE else 0.05 for label in LABELS}},
        "persona": None if flagged else "love",
        "adapter": "love@abc",
        "safety": {"category": "violence", "action": "calm-answer"} if flagged else None,
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 5, "completion_tokens": 2},
        "timings_ms": times,
    }
