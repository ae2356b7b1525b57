"""Responses API, read by the `openai` package: the object, the events and their order."""

from typing import Any

import openai
import pytest

from models.safety.levels import Category
from serve.engine.protocol import Sampling, TextChunk, TokenLogprob
from serve.errors import EngineError, Overloaded, PromptTooLong
from serve.pipeline.safety import crisis_reply
from support.fakes import CHUNKS
from support.http_client import JSON, RESPONSES, FakeResponder, http_client, openai_client

TOKENS = (TokenLogprob("Oh", -0.5, (("Oh", -0.5), ("Ah", -1.5))), TokenLogprob(" no", -0.25))
WITH_LOGPROBS = (TextChunk("Oh", 1, None, TOKENS[:1]), TextChunk(" no", 1, "stop", TOKENS[1:]))
EVENTS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
]


async def create(responder: FakeResponder, **fields: Any) -> Any:
    fields = {"model": "auto", "input": "hello"} | fields
    return await openai_client(responder).responses.create(**fields)


async def events(responder: FakeResponder, **fields: Any) -> list[Any]:
    return [event async for event in await create(responder, stream=True, **fields)]


async def test_a_response_has_text_usage_and_emotion() -> None:
    found = await create(FakeResponder())
    assert (found.object, found.status, found.output_text) == ("response", "completed", "Oh no")
    assert (found.usage.input_tokens, found.usage.output_tokens) == (5, 2)
    assert (found.emotion["label"], found.safety, found.model) == ("fear", None, "auto")
    assert found.id.startswith("resp-")


async def test_a_response_is_incomplete_at_its_token_limit() -> None:
    responder = FakeResponder((TextChunk("Oh", 1, "length"),))
    found = await create(responder, max_output_tokens=7)
    assert (found.status, found.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert responder.requests[0].sampling == Sampling(max_tokens=7)
    *_, last = await events(responder)
    assert (last.type, last.response.status) == ("response.incomplete", "incomplete")


async def test_a_stream_has_openai_s_events_in_order() -> None:
    found = await events(FakeResponder())
    assert [event.type for event in found] == [*EVENTS, "response.completed"]
    assert [event.sequence_number for event in found] == list(range(len(found)))
    assert "".join(event.delta for event in found if event.type.endswith("delta")) == "Oh no"
    assert found[0].response.emotion["label"] == "fear"
    item = found[2].item.id
    assert {event.item_id for event in found if hasattr(event, "item_id")} == {item}
    first, last = found[0].response, found[-1].response
    assert (last.id, last.created_at) == (first.id, first.created_at)
    assert (last.output_text, last.output[0].id) == ("Oh no", item)


async def test_the_package_s_own_stream_helper_understands_it() -> None:
    client = openai_client(FakeResponder())
    async with client.responses.stream(model="auto", input="hello") as stream:
        final = await stream.get_final_response()
    assert final.output_text == "Oh no"


async def test_a_message_of_harm_gets_the_safety_reply() -> None:
    responder = FakeResponder(harm=Category.VIOLENCE)
    found = await events(responder)
    response = found[-1].response
    assert response.output_text == crisis_reply(Category.VIOLENCE, None)
    assert response.safety == {
        "level": "crisis",
        "category": "violence",
        "action": "calm-answer",
    }


async def test_log_probabilities_are_in_events_and_in_the_text() -> None:
    asked: dict[str, Any] = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    responder = FakeResponder(WITH_LOGPROBS)
    found = await events(responder, **asked)
    deltas = [event.logprobs for event in found if event.type.endswith("delta")]
    assert [[entry.token for entry in delta] for delta in deltas] == [["Oh"], [" no"]]
    assert deltas[0][0].top_logprobs[1].logprob == -1.5
    [content] = found[-1].response.output[0].content
    assert [entry.logprob for entry in content.logprobs] == [-0.5, -0.25]
    assert responder.requests[0].sampling.logprobs == 2


async def test_a_failure_during_a_stream_is_told_in_both_ways() -> None:
    *_, error, failed = await events(FakeResponder(CHUNKS[:1], error=EngineError("broken")))
    assert (error.type, error.code, error.message) == ("error", "engine", "broken")
    assert (failed.type, failed.response.status) == ("response.failed", "failed")
    assert failed.response.error.code == "server_error"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "raised", "code"),
    [
        (Overloaded("full", 7), openai.RateLimitError, "overloaded"),
        (PromptTooLong("too long"), openai.BadRequestError, "context_length_exceeded"),
    ],
)
async def test_a_failure_before_the_answer_is_an_error_of_the_package(
    error: Exception, raised: type[openai.APIStatusError], code: str, stream: bool
) -> None:
    with pytest.raises(raised) as caught:
        await create(FakeResponder(chunks=(), error=error), stream=stream)
    assert caught.value.code == code


HISTORY: list[dict[str, Any]] = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": [{"type": "input_text", "text": "one"}]},
    {"type": "reasoning", "id": "rs_1", "summary": []},
    {
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "yes?", "annotations": [], "logprobs": []}],
    },
    {"type": "message", "role": "user", "content": "two"},
]


async def test_a_conversation_reaches_the_pipeline() -> None:
    responder = FakeResponder()
    await create(responder, input=HISTORY, instructions="be kind")
    turns = [(turn.role, turn.text) for turn in responder.messages[0].turns]
    assert turns == [("user", "one"), ("assistant", "yes?"), ("user", "two")]


async def test_output_can_be_sent_back_as_input() -> None:
    responder = FakeResponder()
    first = await create(responder)
    history: list[Any] = [{"role": "user", "content": "hello"}, *first.output]
    await create(responder, input=[*history, {"role": "user", "content": "more"}])
    assert [turn.text for turn in responder.messages[1].turns] == ["hello", "Oh no", "more"]


NOT_TO_BE_REPEATED: dict[str, tuple[str, str]] = {
    "NaN": ('"metadata": {"a": NaN}', "metadata.a"),
    "infinity": ('"metadata": {"a": 1e999}', "metadata.a"),
    "surrogate in a value": (r'"metadata": {"a": "\ud800"}', "metadata.a"),
    "surrogate in a key": (r'"metadata": {"\ud800": "a"}', "metadata"),
    "surrogate in the user": (r'"user": "\ud800"', "user"),
}


@pytest.mark.parametrize("stream", ["false", "true"])
@pytest.mark.parametrize("case", NOT_TO_BE_REPEATED)
async def test_rejects_what_no_reply_can_repeat(case: str, stream: str) -> None:
    fields, param = NOT_TO_BE_REPEATED[case]
    responder = FakeResponder()
    body = f'{{"input": "hello", "stream": {stream}, {fields}}}'
    reply = await http_client(responder).post(RESPONSES, content=body, headers=JSON)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"].startswith(param)
    assert responder.messages == []


async def test_repeats_the_user_and_the_metadata() -> None:
    given: dict[str, Any] = {"user": "x", "metadata": {"run": "1 \U0001f600"}}
    found = await create(FakeResponder(), **given)
    assert (found.user, found.metadata) == (given["user"], given["metadata"])


ACCEPTED: list[dict[str, Any]] = [
    {"store": True, "truncation": "auto", "service_tier": "auto", "parallel_tool_calls": True},
    {"text": {"format": {"type": "text"}, "verbosity": "low"}, "reasoning": {"effort": "low"}},
    {"tools": [{"type": "function"}], "tool_choice": "none"},
    {"tools": [], "tool_choice": "auto", "include": ["reasoning.encrypted_content"]},
    {"background": False, "metadata": {"run": "1"}, "user": "x", "max_tool_calls": 1},
    {"previous_response_id": None, "conversation": None, "prompt": None, "instructions": None},
]


@pytest.mark.parametrize("fields", ACCEPTED, ids=lambda fields: next(iter(fields)))
async def test_accepts_fields_without_effect(fields: dict[str, Any]) -> None:
    responder = FakeResponder()
    await create(responder, **fields)
    assert responder.requests[0].sampling == Sampling()


REJECTED: dict[str, tuple[Any, str]] = {
    "previous_response_id": ("resp_1", "not stored"),
    "conversation": ("conv_1", "not stored"),
    "tools": ([{"type": "web_search"}], "tools"),
    "background": (True, "background"),
    "text": ({"format": {"type": "json_object"}}, "plain text"),
    "input": ([{"type": "function_call_output", "call_id": "1", "output": "x"}], "messages"),
}


@pytest.mark.parametrize("field", REJECTED)
async def test_rejects_unsupported_fields_with_the_reason(field: str) -> None:
    value, reason = REJECTED[field]
    with pytest.raises(openai.BadRequestError, match=reason) as caught:
        await create(FakeResponder(), **{field: value})
    assert str(caught.value.param).startswith(field)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_responses_are_not_stored(method: str) -> None:
    reply = await http_client(FakeResponder()).request(method, "/v1/responses/resp_1")
    assert reply.status_code == 404
    assert "not stored" in reply.json()["error"]["message"]
