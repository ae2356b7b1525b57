"""Blend and intensity over HTTP, on a fake responder: what is used, and what is rejected."""

import json
from typing import Any

import pytest

from models.emotions import Emotion
from models.safety.levels import Category
from serve.responder.mix import mix_of
from support.http_client import (
    BODIES,
    CHAT,
    COMPLETIONS,
    RESPOND,
    RESPONSES,
    FakeResponder,
    http_client,
    sse_events,
)

OPENAI = (CHAT, COMPLETIONS, RESPONSES)
SHARES = {"joy": 0.7, "surprise": 0.3}
WEIGHTS = {"joy": 1.05, "surprise": 0.45}
ALL = pytest.mark.parametrize("path", [RESPOND, *OPENAI])


async def post(path: str, responder: FakeResponder | None = None, **fields: Any) -> Any:
    body = BODIES[path] | fields
    return await http_client(responder or FakeResponder()).post(path, json=body)


@ALL
async def test_a_blend_answers_and_the_reply_says_what_was_used(path: str) -> None:
    responder = FakeResponder()
    reply = await post(path, responder, blend=SHARES, intensity=1.5)
    assert reply.status_code == 200
    assert (reply.json()["blend"], reply.json()["intensity"]) == (WEIGHTS, 1.5)
    [request] = responder.requests
    assert (request.persona, request.mix) == ("joy", mix_of(SHARES, 1.5))


@ALL
async def test_weights_are_rounded_and_the_reply_says_so(path: str) -> None:
    body = (await post(path, blend={"love": 2, "fear": 1}, intensity=0.98)).json()
    assert (body["blend"], body["intensity"]) == ({"love": 0.65, "fear": 0.35}, 1.0)


@ALL
async def test_without_either_the_persona_answers_as_trained(path: str) -> None:
    body = (await post(path, FakeResponder(emotion=Emotion.LOVE))).json()
    assert (body["blend"], body["intensity"]) == ({"love": 1.0}, 1.0)


@ALL
@pytest.mark.parametrize("given", [0, 0.5, 1.5])
async def test_the_intensity_of_a_detected_persona(path: str, given: float) -> None:
    body = (await post(path, intensity=given)).json()
    assert (body["blend"], body["intensity"]) == ({"fear": given}, given)


@ALL
async def test_a_crisis_is_answered_by_no_persona(path: str) -> None:
    responder = FakeResponder(harm=Category.VIOLENCE)
    body = (await post(path, responder, blend=SHARES, intensity=1.5)).json()
    assert (body["blend"], body["intensity"]) == (None, None)
    assert responder.requests == []


@ALL
async def test_a_stream_says_in_its_end_what_was_used(path: str) -> None:
    reply = await post(path, blend=SHARES, intensity=1.5, stream=True)
    events = [json.loads(data) for _, data in sse_events(reply) if data != "[DONE]"]
    last = events[-1]["response"] if path == RESPONSES else events[-1]
    assert (last["blend"], last["intensity"]) == (WEIGHTS, 1.5)


@pytest.mark.parametrize("path", OPENAI)
@pytest.mark.parametrize(
    ("model", "weights"),
    [
        ("joy+surprise", {"joy": 0.5, "surprise": 0.5}),
        ("surprise+joy+surprise", {"surprise": 0.65, "joy": 0.35}),
    ],
)
async def test_a_models_name_may_join_personas(
    path: str, model: str, weights: dict[str, float]
) -> None:
    responder = FakeResponder()
    body = (await post(path, responder, model=model)).json()
    assert (body["model"], body["blend"]) == (model, weights)
    assert responder.requests[0].persona == model.partition("+")[0]


async def test_a_joined_name_is_a_model() -> None:
    client = http_client(FakeResponder())
    assert (await client.get("/v1/models/joy+surprise")).json()["id"] == "joy+surprise"
    assert (await client.get("/v1/models/joy+envy")).status_code == 404


@pytest.mark.parametrize("path", OPENAI)
@pytest.mark.parametrize("model", ["joy+envy", "joy+auto", "base+joy", "joy+", "+", "joy++fear"])
async def test_only_personas_can_be_joined(path: str, model: str) -> None:
    assert (await post(path, model=model)).status_code == 404


INVALID: list[tuple[dict[str, Any], str, str]] = [
    ({"blend": {"joy": 0.5, "envy": 0.5}}, "blend", "unknown persona; known are sadness, joy"),
    ({"blend": {"joy": 0.5, "fear": -0.1}}, "blend", "must not be negative"),
    ({"blend": {"joy": 0, "fear": 0}}, "blend", "must not sum up to 0"),
    ({"blend": {}}, "blend", "at least 1"),
    ({"blend": {"joy": 10**6}}, "blend.joy", "less than or equal to 1000"),
    ({"blend": {"joy": "much"}}, "blend.joy", "valid number"),
    ({"intensity": 1.51}, "intensity", "less than or equal to 1.5"),
    ({"intensity": -0.05}, "intensity", "greater than or equal to 0"),
    ({"intensity": "high"}, "intensity", "valid number"),
]


@pytest.mark.parametrize(("fields", "field", "sentence"), INVALID)
async def test_an_invalid_mix_is_rejected_with_a_sentence(
    fields: dict[str, Any], field: str, sentence: str
) -> None:
    responder = FakeResponder()
    reply = await post(RESPOND, responder, **fields)
    assert reply.status_code == 422
    [error] = reply.json()["errors"]
    assert error["field"] == field
    assert sentence in error["problem"]
    for path in OPENAI:
        reply = await post(path, responder, **fields)
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, field)
        assert sentence in reply.json()["error"]["message"]
    assert responder.messages == []


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999"])
async def test_a_share_that_is_no_number_is_rejected(value: str) -> None:
    body = f'{{"text": "hello", "blend": {{"joy": {value}}}}}'
    headers = {"content-type": "application/json"}
    reply = await http_client(FakeResponder()).post(RESPOND, content=body, headers=headers)
    assert reply.status_code in {400, 422}


async def test_a_persona_and_a_blend_are_not_chosen_together() -> None:
    reply = await post(RESPOND, emotion="joy", blend=SHARES)
    assert reply.status_code == 422
    assert reply.json()["errors"] == [
        {"field": "blend", "problem": "give either emotion or blend, not both"}
    ]


@pytest.mark.parametrize("path", OPENAI)
@pytest.mark.parametrize("model", ["joy", "joy+fear", "base"])
async def test_a_models_name_and_a_blend_are_not_chosen_together(path: str, model: str) -> None:
    reply = await post(path, model=model, blend=SHARES)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "blend")


@pytest.mark.parametrize("path", OPENAI)
async def test_the_base_model_has_no_intensity(path: str) -> None:
    reply = await post(path, model="base", intensity=1.5)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "intensity")
    body = (await post(path, model="base")).json()
    assert (body["blend"], body["intensity"]) == (None, None)
