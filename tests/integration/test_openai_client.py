"""OpenAI's own package as a client of the graph."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from models.emotions import LABELS
from support.running_graph import Graph

MESSAGES: Any = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "such joy"},
]


@pytest.fixture
def api(graph: Graph) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{graph.url}/v1", api_key="unused", max_retries=0, timeout=30
    ) as api:
        yield api


def test_lists_models(api: openai.OpenAI) -> None:
    assert [model.id for model in api.models.list()] == ["auto", *LABELS, "base"]


def test_retrieves_a_model(api: openai.OpenAI) -> None:
    assert (api.models.retrieve("joy").id, api.models.retrieve("joy").object) == ("joy", "model")
    with pytest.raises(openai.NotFoundError) as caught:
        api.models.retrieve("gpt-4o")
    assert caught.value.code == "unknown-model"


@pytest.mark.parametrize(
    ("model", "speaker", "score"),
    [
        ("auto", "joy@scripted", 0.9),
        ("joy", "joy@scripted", 1.0),
        ("fear", "fear@scripted", 1.0),
        ("base", "base", None),
    ],
)
def test_completion_is_by_the_chosen_model(
    api: openai.OpenAI, model: str, speaker: str, score: float | None
) -> None:
    completion = api.chat.completions.create(model=model, messages=MESSAGES, max_tokens=3)
    [choice] = completion.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == (
        "assistant",
        f"[{speaker}] I hear",
        "length",
    )
    assert (completion.object, completion.model) == ("chat.completion", model)
    assert completion.usage is not None
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (3, 3, 6)
    assert completion.model_extra is not None
    emotion = completion.model_extra["emotion"]
    assert (emotion and emotion["score"]) == score


def test_stream_has_emotion_first_and_usage_last(api: openai.OpenAI) -> None:
    options: Any = {"include_usage": True}
    chunks = list(
        api.chat.completions.create(
            model="auto", messages=MESSAGES, max_tokens=3, stream=True, stream_options=options
        )
    )
    first, *said, ended, counted = chunks
    assert first.model_extra is not None
    assert first.model_extra["emotion"]["label"] == "joy"
    assert (first.choices[0].delta.role, first.choices[0].delta.content) == ("assistant", "")
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in said) == "[joy@scripted] I hear"
    )
    assert {chunk.choices[0].finish_reason for chunk in said} == {None}
    assert ended.choices[0].finish_reason == "length"
    assert counted.choices == []
    assert counted.usage is not None
    assert counted.usage.completion_tokens == 3
    assert len({chunk.id for chunk in chunks}) == 1


def test_base_stream_has_no_emotion_and_no_usage(
    api: openai.OpenAI,
) -> None:
    chunks = list(
        api.chat.completions.create(model="base", messages=MESSAGES, max_tokens=2, stream=True)
    )
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["", "[base]", " I", None]
    assert not any((chunk.model_extra or {}).get("emotion") for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)


def test_conversation_is_answered_by_its_last_message(api: openai.OpenAI) -> None:
    turns: Any = [
        {"role": "user", "content": "such joy"},
        {"role": "assistant", "content": "such love"},
        {"role": "user", "content": [{"type": "text", "text": "such fear"}]},
    ]
    completion = api.chat.completions.create(model="auto", messages=turns, max_tokens=1)
    assert completion.choices[0].message.content == "[fear@scripted]"
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == 7


@pytest.mark.parametrize("stop", [" right here", ["nowhere", " right here"]])
def test_answer_ends_before_a_stop_string(api: openai.OpenAI, stop: Any) -> None:
    completion = api.chat.completions.create(
        model="joy", messages=MESSAGES, stop=stop, temperature=0, top_p=1, seed=7, n=1
    )
    assert completion.choices[0].message.content == "[joy@scripted] I hear you, and I am"
    assert completion.choices[0].finish_reason == "stop"


def test_ignore_eos_gives_the_requested_length(api: openai.OpenAI) -> None:
    completion = api.chat.completions.create(
        model="joy", messages=MESSAGES, max_completion_tokens=25, extra_body={"ignore_eos": True}
    )
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 25
    assert completion.choices[0].finish_reason == "length"


def test_unknown_model_is_404(api: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="known are auto, sadness") as caught:
        api.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert caught.value.code == "unknown-model"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("top_logprobs", 6),
        ("n", 2),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("response_format", {"type": "json_object"}),
    ],
)
def test_rejects_unsupported_options_by_name(api: openai.OpenAI, option: str, value: Any) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(openai.BadRequestError, match=f"{option}: ") as caught:
        api.chat.completions.create(model="joy", messages=MESSAGES, **options)
    assert caught.value.type == "invalid_request_error"


def test_too_long_prompt_of_a_stream_raises_in_the_client(api: openai.OpenAI) -> None:
    too_long: Any = [{"role": "user", "content": "q " * 2000}]
    with pytest.raises(openai.BadRequestError, match="2001 tokens"):
        list(api.chat.completions.create(model="joy", messages=too_long, stream=True))
