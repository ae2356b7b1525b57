"""OpenAI's paths on a fake responder: what reaches the pipeline, and the shape of responses."""

import json
import tomllib
from typing import Any

import pytest

from models.emotions import LABELS, Emotion
from models.personas import Persona
from models.safety.levels import Category
from serve.adapters.registry import Releases, Version
from serve.errors import PromptTooLong
from serve.pipeline.safety import crisis_reply
from support.adapters import PERSONA_TOML
from support.fakes import CHUNKS
from support.http_client import CHAT, HELLO, FakeResponder, http_client, sse_events

CALM = Persona.model_validate(tomllib.loads(PERSONA_TOML.format("Calm")))
WITH_CALM = (
    Releases()
    .publish(Version(name="calm@1", persona="calm", added_persona=CALM), 1)
    .promote("calm@1")
)
SAFETY = {"level": "crisis", "category": "violence", "action": "calm-answer"}
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


async def chat(responder: FakeResponder, **fields: Any) -> dict[str, Any]:
    reply = await http_client(responder).post(CHAT, json=HELLO | fields)
    assert reply.status_code == 200
    body: dict[str, Any] = reply.json()
    return body


async def chunks(responder: FakeResponder, **fields: Any) -> list[dict[str, Any]]:
    """Return the chunks of a stream, which has to end properly."""
    reply = await http_client(responder).post(CHAT, json=HELLO | fields | {"stream": True})
    *events, last = sse_events(reply)
    assert last == ("message", "[DONE]")
    assert {name for name, _ in events} == {"message"}
    return [json.loads(data) for _, data in events]


async def test_a_completion_has_the_emotion_as_an_addition() -> None:
    body = await chat(FakeResponder())
    message = {"role": "assistant", "content": "Oh no", "refusal": None}
    assert body["choices"] == [
        {"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}
    ]
    assert (body["object"], body["model"]) == ("chat.completion", "auto")
    assert (body["usage"], body["system_fingerprint"]) == (USAGE, "fear@fake")
    assert (body["emotion"]["label"], body["safety"]) == ("fear", None)
    assert body["id"].startswith("chatcmpl-")


async def test_a_stream_has_role_and_emotion_then_texts_then_the_finish_reason() -> None:
    first, *texts, last = await chunks(FakeResponder())
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert first["emotion"]["label"] == "fear"
    assert [chunk["choices"][0]["delta"] for chunk in texts] == [
        {"content": "Oh"},
        {"content": " no"},
    ]
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "stop")
    assert last["system_fingerprint"] == "fear@fake"
    for chunk in (first, *texts):
        assert chunk["choices"][0]["finish_reason"] is None
        assert "usage" not in chunk
    assert {(chunk["id"], chunk["model"], chunk["object"]) for chunk in (first, *texts, last)} == {
        (first["id"], "auto", "chat.completion.chunk")
    }


async def test_usage_is_sent_last_if_asked_for() -> None:
    *others, last = await chunks(FakeResponder(), stream_options={"include_usage": True})
    assert (last["choices"], last["usage"]) == ([], USAGE)
    assert not any("usage" in chunk for chunk in others)


async def test_the_base_model_has_no_emotion_and_no_persona() -> None:
    responder = FakeResponder()
    body = await chat(responder, model="base")
    assert (body["emotion"], body["system_fingerprint"], body["model"]) == (None, None, "base")
    first, *_ = await chunks(responder, model="base")
    assert "emotion" not in first
    assert [request.persona for request in responder.requests] == [None, None]
    reply = await http_client(responder).post(CHAT, json=HELLO | {"model": "base"})
    assert "x-emotion" not in reply.headers


@pytest.mark.parametrize("model", ["auto", "joy", "base"])
async def test_a_message_of_harm_gets_the_crisis_reply(model: str) -> None:
    responder = FakeResponder(harm=Category.VIOLENCE)
    body = await chat(responder, model=model)
    text = crisis_reply(Category.VIOLENCE, None)
    assert body["choices"][0]["message"]["content"] == text
    assert (body["safety"], body["system_fingerprint"]) == (SAFETY, None)
    streamed = await chunks(responder, model=model)
    assert [chunk["safety"] for chunk in streamed if "safety" in chunk] == [SAFETY]
    assert streamed[2]["choices"][0]["delta"] == {"content": text}
    assert responder.requests == []


async def test_a_broken_stream_ends_with_the_error_and_done() -> None:
    responder = FakeResponder(CHUNKS[:1], error=PromptTooLong("too long"))
    *_, last = await chunks(responder)
    assert last["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"messages": [{"role": "user", "content": " "}]}, "messages.0.content: "),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
            "messages.0.content: ",
        ),
        ({"stop": ["fine", ""]}, "stop.1: "),
        ({"n": 2}, "n: "),
        ({"tools": [{"type": "function"}]}, "tools: "),
        ({"min_tokens": 9, "max_tokens": 5}, "min_tokens"),
        ({"messages": [{"role": "assistant", "content": "hello"}]}, "role user"),
        ({"messages": [{"role": "system", "content": "hello"}]}, "role user"),
    ],
)
async def test_errors_name_the_place(change: dict[str, Any], expected: str) -> None:
    reply = await http_client(FakeResponder()).post(CHAT, json=HELLO | change)
    assert reply.status_code == 400
    assert expected in reply.json()["error"]["message"]


async def test_a_conversation_reaches_the_pipeline_without_system_messages() -> None:
    responder = FakeResponder(emotion=Emotion.LOVE)
    parts = [{"type": "text", "text": "two"}, {"type": "text", "text": "lines"}]
    await chat(
        responder,
        messages=[
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "yes?"},
            {"role": "developer", "content": "be long"},
            {"role": "user", "content": parts},
        ],
    )
    turns = [(turn.role, turn.text) for turn in responder.messages[0].turns]
    assert turns == [("user", "one"), ("assistant", "yes?"), ("user", "two\nlines")]
    assert responder.classified == [[responder.messages[0].turns]]


async def test_lists_models_with_added_personas() -> None:
    client = http_client(FakeResponder(releases=WITH_CALM))
    models = (await client.get("/v1/models")).json()["data"]
    assert [model["id"] for model in models] == ["auto", *LABELS, "calm", "base"]
    assert all(model["root"] == model["id"] for model in models)


@pytest.mark.parametrize("name", ["auto", "joy", "calm", "base"])
async def test_a_model_can_be_retrieved_and_used(name: str) -> None:
    responder = FakeResponder(emotion=Emotion.ANGER, releases=WITH_CALM)
    reply = await http_client(responder).get(f"/v1/models/{name}")
    assert (reply.status_code, reply.json()["id"]) == (200, name)
    assert (await chat(responder, model=name))["model"] == name
    personas = {"auto": "anger", "base": None}
    assert responder.requests[0].persona == personas.get(name, name)


async def test_an_unknown_model_is_rejected_with_the_known_ones() -> None:
    client = http_client(FakeResponder(releases=WITH_CALM))
    used = await client.post(CHAT, json=HELLO | {"model": "pride"})
    retrieved = await client.get("/v1/models/pride")
    for reply in (used, retrieved):
        error = reply.json()["error"]
        assert (reply.status_code, error["code"]) == (404, "unknown-model")
        assert error["message"].endswith("surprise, calm, base")
        assert "pride" not in error["message"]


@pytest.mark.parametrize("count", [17, 100_000])
async def test_a_model_joins_few_personas(count: int) -> None:
    # With a time that grows with the square, the larger one would take hours.
    responder = FakeResponder()
    name = "+".join(["joy"] * count)
    client = http_client(responder)
    reply = await client.post(CHAT, json=HELLO | {"model": name})
    looked_up = await client.get("/v1/models/" + "+".join(["joy"] * 17))
    for one in (reply, looked_up):
        assert (one.status_code, one.json()["error"]["code"]) == (404, "unknown-model")
        assert "at most 16" in one.json()["error"]["message"]
    assert responder.messages == []


async def test_a_repeated_persona_has_a_larger_share() -> None:
    responder = FakeResponder()
    await chat(responder, model="+".join(["joy"] * 15 + ["love"]))
    assert responder.messages[0].blend == {"joy": 15, "love": 1}


async def test_an_error_names_the_first_invalid_fields_only() -> None:
    body = {"messages": [{"role": "x"}] * 1000}
    reply = await http_client(FakeResponder()).post(CHAT, json=body)
    error = reply.json()["error"]
    assert (reply.status_code, error["param"]) == (400, "messages.0.role")
    assert error["message"].count("messages.") == 32
