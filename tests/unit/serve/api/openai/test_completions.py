"""Legacy completions, read by the `openai` package."""

from typing import Any

import openai
import pytest

from serve.engine.protocol import Sampling, TextChunk, TokenLogprob
from serve.errors import EngineError
from support.fakes import CHUNKS
from support.http_client import FakeResponder, openai_client

TOKENS = (TokenLogprob("Oh", -0.5, (("Oh", -0.5), ("Ah", -1.5))), TokenLogprob(" no", -0.25))
# The last token ends the answer and has no text.
WITH_LOGPROBS = (TextChunk("Oh", 1, None, TOKENS[:1]), TextChunk("", 1, "stop", TOKENS[1:]))


async def complete(responder: FakeResponder, **fields: Any) -> Any:
    fields = {"model": "joy", "prompt": "hello"} | fields
    return await openai_client(responder).completions.create(**fields)


async def chunks(responder: FakeResponder, **fields: Any) -> list[Any]:
    return [chunk async for chunk in await complete(responder, stream=True, **fields)]


async def test_a_completion_has_text_usage_and_emotion() -> None:
    responder = FakeResponder()
    found = await complete(responder)
    [choice] = found.choices
    assert (found.object, choice.text, choice.finish_reason) == ("text_completion", "Oh no", "stop")
    assert (found.usage.total_tokens, found.emotion["label"]) == (7, "joy")
    assert found.id.startswith("cmpl-")
    assert [(turn.role, turn.text) for turn in responder.messages[0].turns] == [("user", "hello")]


async def test_a_stream_has_the_emotion_then_texts_then_the_finish_reason() -> None:
    options: Any = {"include_usage": True}
    first, *texts, last, used = await chunks(FakeResponder(), stream_options=options)
    assert (first.emotion["label"], first.choices[0].text) == ("joy", "")
    assert [chunk.choices[0].text for chunk in texts] == ["Oh", " no"]
    assert (last.choices[0].finish_reason, used.usage.completion_tokens) == ("stop", 2)


async def test_log_probabilities_have_offsets() -> None:
    responder = FakeResponder(WITH_LOGPROBS)
    [choice] = (await complete(responder, logprobs=2)).choices
    assert choice.logprobs.tokens == ["Oh", " no"]
    assert choice.logprobs.token_logprobs == [-0.5, -0.25]
    assert choice.logprobs.text_offset == [0, 2]
    assert choice.logprobs.top_logprobs == [{"Oh": -0.5, "Ah": -1.5}, {}]
    assert responder.requests[0].sampling.logprobs == 2
    streamed = [chunk.choices[0].logprobs for chunk in await chunks(responder, logprobs=2)]
    assert [found and found.text_offset for found in streamed] == [None, [0], [2]]


async def test_every_chunk_has_the_usage_so_far_if_asked_for() -> None:
    options: Any = {"include_usage": True, "continuous_usage_stats": True}
    found = await chunks(FakeResponder(), stream_options=options)
    assert [chunk.usage.completion_tokens for chunk in found] == [0, 1, 2, 2, 2]
    assert [chunk.usage for chunk in (await chunks(FakeResponder()))] == [None] * 4


@pytest.mark.parametrize(("given", "asked"), [(False, None), (True, 0)])
async def test_the_boolean_of_chat_completions_means_the_same_here(
    given: bool, asked: int | None
) -> None:
    responder = FakeResponder(WITH_LOGPROBS)
    [choice] = (await complete(responder, logprobs=given)).choices
    assert (choice.logprobs is not None) == given
    assert responder.requests[0].sampling.logprobs == asked


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": ["hello"]},
        {"suffix": None, "echo": False, "best_of": 1, "n": 1, "user": "x", "logit_bias": {}},
    ],
    ids=str,
)
async def test_accepts_fields_without_effect(fields: dict[str, Any]) -> None:
    responder = FakeResponder()
    await complete(responder, **fields)
    assert responder.requests[0].sampling == Sampling()
    assert responder.requests[0].turns[0].text == "hello"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", ["one", "two"]),
        ("prompt", [1, 2]),
        ("prompt", ""),
        ("echo", True),
        ("best_of", 2),
        ("logprobs", 6),
        ("suffix", "end"),
    ],
)
async def test_rejects_unsupported_fields_by_name(field: str, value: object) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await complete(FakeResponder(), **{field: value})
    assert str(caught.value.param).startswith(field)


async def test_a_failure_during_a_stream_is_an_error_of_the_package() -> None:
    with pytest.raises(openai.APIError, match="broken"):
        await chunks(FakeResponder(CHUNKS[:1], error=EngineError("broken")))
