"""Routes of the project's own API on a fake responder."""

import json
import tomllib
from typing import Any

import pytest

from models.emotions import LABELS, Emotion
from models.personas import Persona
from models.prompt import Turn
from models.safety.levels import Category
from serve.adapters.registry import Releases, Version
from serve.engine.protocol import Sampling, TextChunk
from serve.errors import EngineError, NotReady
from serve.pipeline.safety import crisis_reply
from support.adapters import PERSONA_TOML
from support.fakes import CHUNKS
from support.http_client import (
    CHAT,
    DETECT,
    HELLO,
    RESPOND,
    FakeResponder,
    http_client,
    sse_events,
)

CALM = Persona.model_validate(tomllib.loads(PERSONA_TOML.format("Calm")))
WITH_CALM = (
    Releases()
    .publish(Version(name="calm@1", persona="calm", added_persona=CALM), 1)
    .promote("calm@1")
)
ERROR_TEXT = "the engine failed"
BOTH = pytest.mark.parametrize(("path", "body"), [(RESPOND, {"text": "hello"}), (CHAT, HELLO)])


async def test_answers_as_the_persona_of_the_detected_emotion() -> None:
    reply = await http_client(FakeResponder()).post(RESPOND, json={"text": "hello"})
    body = reply.json()
    assert (reply.status_code, body["text"]) == (200, "Oh no")
    assert (body["persona"], body["adapter"], body["safety"]) == ("fear", "fear@fake", None)
    assert (body["emotion"]["label"], body["emotion"]["score"]) == ("fear", 0.75)
    assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": 2}
    assert body["finish_reason"] == "stop"
    *parts, total = body["timings_ms"].values()
    assert total == pytest.approx(sum(parts), abs=0.1)


async def test_a_stream_has_the_emotion_then_texts_then_everything_else() -> None:
    client = http_client(FakeResponder())
    whole = (await client.post(RESPOND, json={"text": "hello"})).json()
    reply = await client.post(RESPOND, json={"text": "hello", "stream": True})
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = [(name, json.loads(data)) for name, data in sse_events(reply)]
    assert [name for name, _ in events] == ["emotion", "delta", "delta", "done"]
    assert events[0][1] == whole["emotion"]
    assert [data for _, data in events[1:3]] == [{"text": "Oh"}, {"text": " no"}]
    done = events[3][1]
    assert set(done) == set(whole) - {"text"}
    for name in ("emotion", "persona", "adapter", "safety", "finish_reason", "usage"):
        assert done[name] == whole[name]


async def test_a_message_of_harm_gets_the_safety_reply_of_the_region() -> None:
    responder = FakeResponder(harm=Category.VIOLENCE)
    client = http_client(responder)
    headers = {"x-region": "DE"}
    body = {"text": "hello", "emotion": "joy"}
    whole = (await client.post(RESPOND, json=body, headers=headers)).json()
    stream = await client.post(RESPOND, json=body | {"stream": True}, headers=headers)
    safety = {"level": "crisis", "category": "violence", "action": "calm-answer"}
    text = crisis_reply(Category.VIOLENCE, "DE")
    assert (whole["safety"], whole["persona"], whole["text"]) == (safety, None, text)
    events = [(name, json.loads(data)) for name, data in sse_events(stream)]
    assert [name for name, _ in events] == ["emotion", "safety", "delta", "done"]
    assert events[1][1] == safety
    assert events[2][1] == {"text": text}
    assert responder.requests == []


async def test_the_request_reaches_the_pipeline_complete() -> None:
    responder = FakeResponder()
    body = {"text": "hello", "max_tokens": 9, "temperature": 0, "top_p": 0.5, "seed": 3}
    await http_client(responder).post(RESPOND, json=body)
    [message] = responder.messages
    assert message.sampling == Sampling(9, 0, 0.5, 3)
    assert [(turn.role, turn.text) for turn in message.turns] == [("user", "hello")]
    assert (message.persona, message.base_model) == (None, False)


async def test_the_client_may_choose_the_emotion() -> None:
    responder = FakeResponder(emotion=Emotion.FEAR)
    reply = await http_client(responder).post(RESPOND, json={"text": "hello", "emotion": "love"})
    emotion = reply.json()["emotion"]
    assert (emotion["label"], emotion["score"], reply.json()["persona"]) == ("love", 1.0, "love")
    assert responder.requests[0].persona == "love"


async def test_a_broken_stream_ends_with_the_problem() -> None:
    client = http_client(FakeResponder(CHUNKS[:2], error=EngineError(ERROR_TEXT)))
    reply = await client.post(RESPOND, json={"text": "hello", "stream": True})
    events = [(name, json.loads(data)) for name, data in sse_events(reply)]
    assert [name for name, _ in events] == ["emotion", "delta", "delta", "error"]
    problem = events[-1][1]
    assert (problem["type"], problem["detail"]) == ("urn:face-your-emotions:engine", ERROR_TEXT)


@BOTH
@pytest.mark.parametrize("stream", [False, True])
async def test_the_emotion_is_also_a_header(path: str, body: dict[str, Any], stream: bool) -> None:
    client = http_client(FakeResponder(emotion=Emotion.LOVE))
    reply = await client.post(path, json=body | {"stream": stream})
    assert reply.headers["x-emotion"] == "love"


@BOTH
async def test_a_broken_answer_is_a_problem_without_its_text(
    path: str, body: dict[str, Any]
) -> None:
    client = http_client(FakeResponder(CHUNKS[:2], error=EngineError(ERROR_TEXT)))
    reply = await client.post(path, json=body)
    assert (reply.status_code, ERROR_TEXT in reply.text) == (500, True)
    assert "Oh" not in reply.text


async def test_text_is_not_changed_on_its_way() -> None:
    text = "na\u00efve \u65e5\u672c \u2028 \U0001f9ff \u202e \"'\\ a\r\nb\nc <eos>"
    responder = FakeResponder((TextChunk(text, 1, "stop"),))
    client = http_client(responder)
    whole = await client.post(RESPOND, json={"text": text})
    stream = await client.post(RESPOND, json={"text": text, "stream": True})
    assert whole.json()["text"] == text
    assert json.loads(sse_events(stream)[1][1]) == {"text": text}
    assert responder.classified == [[(Turn("user", text),)]] * 2


@pytest.mark.parametrize("text", ["hello", ["hello"], ["hello", "you"]])
async def test_detects_one_text_or_several(text: str | list[str]) -> None:
    responder = FakeResponder(emotion=Emotion.JOY, harm=Category.VIOLENCE, harmful_text="you")
    reply = await http_client(responder).post(DETECT, json={"text": text})
    body = reply.json()
    texts = [text] if isinstance(text, str) else text
    assert (reply.status_code, body["model"]) == (200, "fake")
    assert responder.classified == [texts]
    harms = [None if one == "hello" else "violence" for one in texts]
    assert [found["harm"] for found in body["results"]] == harms
    for found in body["results"]:
        assert (found["label"], found["score"]) == ("joy", 0.75)
        assert list(found["scores"]) == list(LABELS)


async def test_is_ready_once_the_responder_is() -> None:
    reply = await http_client(FakeResponder()).get("/readyz")
    assert (reply.status_code, reply.json()["operators"]) == (200, {"lora": "active"})
    assert reply.json()["adapters"] == {"source": "configured", "fallbacks": {"joy": "joy@1"}}
    client = http_client(FakeResponder(error=NotReady("no detector has answered")))
    reply = await client.get("/readyz")
    assert (reply.status_code, reply.json()["type"]) == (503, "urn:face-your-emotions:not-ready")


@pytest.mark.parametrize("path", ["/healthz", "/health"])
async def test_is_alive_without_a_detector(path: str) -> None:
    client = http_client(FakeResponder(error=NotReady("no")))
    assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (RESPOND, {"text": 4}, "text"),
        (RESPOND, {}, "text"),
        (RESPOND, [], "body"),
        (RESPOND, {"text": "fine", "emotion": "boredom"}, "emotion"),
        (RESPOND, {"text": "fine", "emotion": "base"}, "emotion"),
        (DETECT, {"text": ""}, "text"),
        (DETECT, {"text": ["fine", "fine", "\0"]}, "text.2"),
        (DETECT, {"text": {}}, "text"),
        (DETECT, {"text": "fine", "texts": []}, "texts"),
    ],
)
async def test_an_invalid_field_is_one_error_at_its_place(path: str, body: Any, field: str) -> None:
    reply = await http_client(FakeResponder()).post(path, json=body)
    errors = [row["field"] for row in reply.json()["errors"]]
    assert (reply.status_code, errors) == (422, [field])


@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b'{"text": "\xff"}'])
async def test_rejects_what_is_not_json(body: bytes) -> None:
    headers = {"content-type": "application/json"}
    reply = await http_client(FakeResponder()).post(RESPOND, content=body, headers=headers)
    slug = "invalid-json" if body else "invalid-request"
    assert reply.json()["type"] == f"urn:face-your-emotions:{slug}"
    assert reply.status_code == (400 if body else 422)


async def test_lists_the_built_in_personas() -> None:
    personas = (await http_client(FakeResponder()).get("/v1/personas")).json()
    assert [persona["emotion"] for persona in personas] == list(LABELS)
    assert not any("instruction" in persona for persona in personas)


async def test_an_added_persona_is_listed_and_can_be_chosen() -> None:
    client = http_client(FakeResponder(emotion=Emotion.ANGER, releases=WITH_CALM))
    listed = (await client.get("/v1/personas")).json()[6]
    assert listed == CALM.model_dump(exclude={"instruction"}) | {"emotion": None}
    reply = await client.post(RESPOND, json={"text": "Hm.", "emotion": "calm"})
    body = reply.json()
    assert (body["persona"], body["emotion"]["label"]) == ("calm", "anger")
    assert reply.headers["x-emotion"] == "anger"


async def test_an_unknown_persona_is_rejected_with_the_known_ones() -> None:
    client = http_client(FakeResponder(releases=WITH_CALM))
    reply = await client.post(RESPOND, json={"text": "Hm.", "emotion": "pride"})
    [error] = reply.json()["errors"]
    assert error["problem"].endswith("surprise, calm")
