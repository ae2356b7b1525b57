"""Request bodies of OpenAI's paths: sampling parameters, ignored fields and rejected ones."""

from typing import Any

import pytest
from pydantic import ValidationError

from serve.api.openai.messages import text_of
from serve.api.openai.requests import ChatRequest
from serve.engine.protocol import Sampling
from serve.errors import InvalidRequest

MESSAGES = [{"role": "user", "content": "hello"}]


def request(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"messages": MESSAGES} | fields)


def invalid_fields(**fields: Any) -> set[str]:
    with pytest.raises(ValidationError) as caught:
        request(**fields)
    return {str(row["loc"][0]) for row in caught.value.errors()}


@pytest.mark.parametrize("stop", ["", [""], ["a"] * 5, "a" * 65, "\ud800", 5])
def test_rejects_an_invalid_stop_string(stop: object) -> None:
    assert invalid_fields(stop=stop) == {"stop"}


@pytest.mark.parametrize(
    "content",
    [
        [],
        "",
        [{"type": "text", "text": " "}],
        [{"type": "image_url"}],
        [{"type": "text", "text": "a"}] * 17,
        ["hello"],
        None,
        "\0",
        "\ud800",
        [{"type": "text", "text": "a\udfff"}],
    ],
)
def test_rejects_a_message_without_text(content: object) -> None:
    assert invalid_fields(messages=[{"role": "user", "content": content}]) == {"messages"}


@pytest.mark.parametrize("messages", [[], [{"role": "tool", "content": "hello"}]])
def test_rejects_invalid_messages(messages: object) -> None:
    assert invalid_fields(messages=messages) == {"messages"}


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({}, 96),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
        ({"max_tokens": None, "max_completion_tokens": None}, 96),
        ({"max_tokens": 4096}, 256),
        ({"max_tokens": -1}, 256),
    ],
)
def test_accepts_both_names_of_the_token_limit(fields: dict[str, Any], tokens: int) -> None:
    assert request(**fields).sampling().max_tokens == tokens


def test_maps_every_sampling_parameter() -> None:
    fields = {
        "temperature": 0.1,
        "top_p": 0.2,
        "top_k": 3,
        "min_p": 0.4,
        "frequency_penalty": 0.5,
        "presence_penalty": -0.6,
        "repetition_penalty": 1.7,
        "seed": 8,
        "min_tokens": 4,
        "ignore_eos": True,
    }
    expected = Sampling(max_tokens=9, stop=("a", "b"), **fields)  # type: ignore[arg-type]
    assert request(**fields, max_tokens=9, stop=["a", "b"]).sampling() == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"seed": -1}, Sampling(seed=None)),
        ({"top_p": 0}, Sampling(temperature=0, top_p=1)),
        ({"top_p": 0, "temperature": 1.5}, Sampling(temperature=0, top_p=1)),
        ({"logprobs": True}, Sampling(logprobs=0)),
        ({"logprobs": True, "top_logprobs": 5}, Sampling(logprobs=5)),
        ({"logprobs": False, "top_logprobs": 0}, Sampling()),
    ],
)
def test_understands_values_of_other_servers(fields: dict[str, Any], expected: Sampling) -> None:
    assert request(**fields).sampling() == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"top_logprobs": 6, "logprobs": True},
        {"top_logprobs": 1},
        {"max_tokens": 0},
        {"seed": -2},
        {"top_p": -0.1},
        {"tools": [{"type": "function"}], "tool_choice": "auto"},
    ],
    ids=str,
)
def test_rejects_what_has_no_meaning(fields: dict[str, Any]) -> None:
    assert invalid_fields(**fields) == {next(iter(fields))}


def test_without_parameters_the_defaults_of_the_engine_apply() -> None:
    assert request().sampling() == Sampling()


def test_rejects_min_tokens_above_the_limit() -> None:
    with pytest.raises(InvalidRequest, match="min_tokens"):
        request(min_tokens=6, max_tokens=5).sampling()


@pytest.mark.parametrize("name", ["n", "stop", "tools", "stream_options", "temperature", "model"])
def test_null_is_the_same_as_absent(name: str) -> None:
    assert request(**{name: None}) == request()


def test_rejects_unknown_options_of_a_stream() -> None:
    assert invalid_fields(stream_options={"include": True}) == {"stream_options"}
    assert invalid_fields(stream_options={"include_obfuscation": True}) == {"stream_options"}


def test_joins_the_parts_of_a_message() -> None:
    parts = [{"type": "text", "text": "two"}, {"type": "text", "text": "lines"}]
    [message] = request(messages=[{"role": "user", "content": parts}]).messages
    assert text_of(message.content) == "two\nlines"
