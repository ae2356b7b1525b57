"""The HTTP application on stages that are not there: streams that break, and errors that name the field."""

import json
import tomllib
from typing import Any

import pytest

from models.emotions import LABELS, Emotion
from models.personas import Persona
from serve.adapters.registry import Releases, Version
from serve.errors import EngineError, NotReady
from serve.responder.replica import Piece
from support.fakes import ANSWER, PERSONA_TOML
from support.http_client import FakeController, FakeIngress, http_client, sse_events

SECRET = "what-the-user-wrote"
CHAT = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "hello"}]}


async def test_a_stream_that_breaks_ends_with_the_problem() -> None:
    client = http_client(FakeIngress(ANSWER[:2], error=EngineError("the engine failed")))
    reply = await client.post("/v1/respond", json={"text": "hello", "stream": True})
    events = [(name, json.loads(data)) for name, data in sse_events(reply)]
    assert [name for name, _ in events] == ["emotion", "delta", "delta", "error"]
    assert events[-1][1]["type"] == "urn:face-your-emotions:engine"
    assert events[-1][1]["detail"] == "the engine failed"


@pytest.mark.parametrize(("path", "body"), [("/v1/respond", {"text": "hello"}), (CHAT, HELLO)])
async def test_a_stream_that_cannot_even_detect_is_an_error_with_a_status(path: str, body: dict[str, Any]) -> None:
    client = http_client(FakeIngress((), error=ValueError(SECRET)))
    reply = await client.post(path, json=body | {"stream": True})
    assert reply.status_code == 500
    assert "internal" in reply.text
    assert SECRET not in reply.text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "body"), [("/v1/respond", {"text": "hello"}), (CHAT, HELLO)])
async def test_the_emotion_is_a_header_too(path: str, body: dict[str, Any], stream: bool) -> None:
    reply = await http_client(FakeIngress(emotion=Emotion.LOVE)).post(path, json=body | {"stream": stream})
    assert reply.headers["x-emotion"] == "love"


async def test_the_bare_base_has_no_emotion_header() -> None:
    reply = await http_client(FakeIngress()).post(CHAT, json=HELLO | {"model": "base"})
    assert (reply.status_code, "x-emotion" in reply.headers) == (200, False)


@pytest.mark.parametrize("path", ["/v1/respond", CHAT])
async def test_a_whole_answer_that_breaks_is_a_problem_not_half_an_answer(path: str) -> None:
    client = http_client(FakeIngress(ANSWER[:2], error=EngineError("the engine failed")))
    reply = await client.post(path, json=HELLO if path == CHAT else {"text": "hello"})
    assert reply.status_code == 500
    assert "Oh" not in reply.text


async def test_text_travels_unchanged() -> None:
    text = "na\u00efve \u65e5\u672c \u2028 \U0001f9ff \u202e \"'\\ <eos>"
    ingress = FakeIngress((Piece(text, "stop", 1, 1),))
    client = http_client(ingress)
    whole = await client.post("/v1/respond", json={"text": text})
    stream = await client.post("/v1/respond", json={"text": text, "stream": True})
    assert whole.json()["text"] == text
    assert json.loads(sse_events(stream)[1][1]) == {"text": text}
    assert ingress.classified_texts == [[text], [text]]


async def test_readiness_is_503_until_every_stage_answers() -> None:
    assert (await http_client(FakeIngress()).get("/readyz")).status_code == 200
    reply = await http_client(FakeIngress(error=NotReady("a stage has not answered yet"))).get("/readyz")
    assert (reply.status_code, reply.json()["type"]) == (503, "urn:face-your-emotions:not-ready")


async def test_life_does_not_depend_on_the_stages() -> None:
    assert (await http_client(FakeIngress(error=NotReady("no"))).get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/respond", {"text": 4}, "text"),
        ("/v1/respond", {}, "text"),
        ("/v1/respond", [], "body"),
        ("/v1/respond", {"text": "fine", "emotion": "boredom"}, "emotion"),
        ("/v1/respond", {"text": "fine", "emotion": "base"}, "emotion"),
        ("/v1/detect", {"text": ""}, "text"),
        ("/v1/detect", {"text": ["fine", "fine", "\0"]}, "text.2"),
        ("/v1/detect", {"text": {}}, "text"),
        ("/v1/detect", {"text": "fine", "texts": []}, "texts"),
    ],
)
async def test_one_mistake_is_one_error_at_its_place_in_the_body(path: str, body: Any, field: str) -> None:
    reply = await http_client(FakeIngress()).post(path, json=body)
    assert (reply.status_code, [row["field"] for row in reply.json()["errors"]]) == (422, [field])


async def test_a_persona_beside_the_six_is_listed_and_named_in_the_reply_beside_the_emotion() -> None:
    calm = Persona.model_validate(tomllib.loads(PERSONA_TOML.format("Calm")))
    releases = Releases().publish(Version(name="calm@1", persona="calm", character=calm), 1).promote("calm@1")
    client = http_client(FakeIngress(emotion=Emotion.ANGER, directory=FakeController(releases)))
    assert (await client.get("/v1/personas")).json()[6] == calm.model_dump(exclude={"instruction"}) | {"emotion": None}
    assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == ["auto", *LABELS, "calm", "base"]
    reply = await client.post("/v1/respond", json={"text": "Hm.", "emotion": "calm"})
    assert (reply.json()["persona"], reply.json()["emotion"]["label"], reply.headers["x-emotion"]) == ("calm", "anger", "anger")
    unknown = await client.post(CHAT, json=HELLO | {"model": "pride"})
    assert (unknown.status_code, unknown.json()["error"]["message"].endswith("surprise, calm, base")) == (404, True)


async def test_the_document_describes_every_path() -> None:
    paths = (await http_client(FakeIngress()).get("/openapi.json")).json()["paths"]
    admin = {f"/v1/admin/adapters{path}" for path in ("", "/promote", "/rollback")}
    assert (
        set(paths) == {"/v1/respond", "/v1/detect", "/v1/personas", "/v1/models", "/v1/models/{name}", CHAT, "/healthz", "/readyz"} | admin
    )
    assert "application/problem+json" in paths["/v1/respond"]["post"]["responses"]["422"]["content"]
    assert "text/event-stream" in paths["/v1/respond"]["post"]["responses"]["200"]["content"]
