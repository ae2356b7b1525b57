"""The API by example, over HTTP."""

import json
import re
import time
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource, connect_sse

from models.emotions import LABELS
from models.personas import builtin_personas
from serve.engine.scripted import script
from serve.responder.voice import blend_name
from support.fakes import SCRIPTED_TOKENS

TOKEN_S = 0.2  # as the graph of these tests is configured
SHORT = {"max_tokens": 3}
STREAM = {"stream": True}


def stream(client: httpx.Client, **body: Any) -> list[tuple[str, Any]]:
    with connect_sse(client, "POST", "/v1/respond", json=body | STREAM) as source:
        return read(source)


def read(source: EventSource) -> list[tuple[str, Any]]:
    assert source.response.headers["content-type"].startswith("text/event-stream")
    return [(event.event, json.loads(event.data)) for event in source.iter_sse()]


def test_whole_answer_has_all_fields(client: httpx.Client) -> None:
    reply = client.post("/v1/respond", json={"text": "such joy today"})
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    body = reply.json()
    times = body.pop("timings_ms")
    parts = [times[part] for part in ("queue", "detect", "first_token", "generate")]
    assert min(parts) > 0
    assert sum(parts) == pytest.approx(times["total"], rel=0.05)
    assert body.pop("id").startswith("resp-")
    assert body == {
        "text": script("joy@scripted"),
        "persona": "joy",
        "safety": None,
        "complete": True,
        "adapter": "joy@scripted",
        "blend": {"joy": 1.0},
        "intensity": 1.0,
        "candidates": None,
        "emotion": {
            "label": "joy",
            "score": 0.9,
            "scores": {label: 0.9 if label == "joy" else 0.02 for label in LABELS},
            "language": None,
            "reliable": True,
        },
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 4, "completion_tokens": SCRIPTED_TOKENS},
    }


def test_a_blend_answers_with_an_adapter_of_its_own(client: httpx.Client) -> None:
    """The scripted engine says which adapter it used."""
    shares = {"blend": {"joy": 0.7, "surprise": 0.3}}
    body = client.post("/v1/respond", json={"text": "Hm.", "intensity": 1.5} | shares).json()
    assert (body["persona"], body["emotion"]["label"]) == ("joy", "joy")
    assert (body["blend"], body["intensity"]) == ({"joy": 1.05, "surprise": 0.45}, 1.5)
    name = blend_name((("joy@scripted", 1.05), ("surprise@scripted", 0.45)))
    assert (body["adapter"], body["text"]) == (name, script(name))
    chat = {"messages": [{"role": "user", "content": "Hm."}], "model": "joy+surprise"}
    reply = client.post("/v1/chat/completions", json=chat).json()
    name = blend_name((("joy@scripted", 0.5), ("surprise@scripted", 0.5)))
    assert reply["choices"][0]["message"]["content"] == script(name)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"blend": {"joy": 1, "envy": 1}}, "unknown persona"),
        ({"blend": {"joy": 1, "fear": 1, "love": 1}}, "mixes up to 2"),
        ({"intensity": 2}, "less than or equal to 1.5"),
    ],
)
def test_a_mix_that_cannot_be_made_is_rejected(
    client: httpx.Client, fields: dict[str, Any], sentence: str
) -> None:
    for stream in ({}, STREAM):
        reply = client.post("/v1/respond", json={"text": "Hm."} | fields | stream)
        assert (reply.status_code, sentence in reply.text) == (422, True)


def test_stream_has_emotion_then_text_then_done(client: httpx.Client) -> None:
    events = stream(client, text="such anger", max_tokens=4)
    assert [name for name, _ in events] == ["emotion", *["delta"] * 4, "done"]
    assert events[0][1] == {
        "label": "anger",
        "score": 0.9,
        "scores": {label: 0.9 if label == "anger" else 0.02 for label in LABELS},
        "language": None,
        "reliable": True,
    }
    assert (
        "".join(data["text"] for name, data in events if name == "delta")
        == "[anger@scripted] I hear you,"
    )
    done = events[-1][1]
    assert set(done) == {
        "id",
        "emotion",
        "persona",
        "adapter",
        "blend",
        "intensity",
        "candidates",
        "safety",
        "complete",
        "finish_reason",
        "usage",
        "timings_ms",
    }
    assert (done["emotion"], done["persona"], done["finish_reason"]) == (
        events[0][1],
        "anger",
        "length",
    )
    assert done["usage"] == {"prompt_tokens": 3, "completion_tokens": 4}
    *parts, total_ms = (
        done["timings_ms"][part] for part in ("queue", "detect", "first_token", "generate", "total")
    )
    assert sum(parts) == pytest.approx(total_ms, rel=0.05)


def test_emotion_is_sent_before_the_first_text(client: httpx.Client) -> None:
    with connect_sse(
        client, "POST", "/v1/respond", json={"text": "such fear", **STREAM, "max_tokens": 2}
    ) as source:
        arrived = [(event.event, time.monotonic()) for event in source.iter_sse()]
    assert [name for name, _ in arrived] == ["emotion", "delta", "delta", "done"]
    assert arrived[1][1] - arrived[0][1] > TOKEN_S / 4, "they came together"


@pytest.mark.parametrize("emotion", LABELS)
def test_chosen_emotion_overrides_detection(client: httpx.Client, emotion: str) -> None:
    body = client.post("/v1/respond", json={"text": "such joy", "emotion": emotion, **SHORT}).json()
    assert (body["persona"], body["emotion"]["label"], body["emotion"]["score"]) == (
        emotion,
        emotion,
        1,
    )
    assert body["text"] == f"[{emotion}@scripted] I hear"


def test_detects_one_text(client: httpx.Client) -> None:
    body = client.post("/v1/detect", json={"text": "what a surprise"}).json()
    assert body["model"] == "scripted"
    [result] = body["results"]
    assert (result["label"], result["score"]) == ("surprise", 0.9)
    assert list(result["scores"]) == list(LABELS)


def test_detects_the_largest_list_in_order(client: httpx.Client) -> None:
    """Their lengths jump about, so that batches are reordered inside."""
    named = [LABELS[number * number % 6] for number in range(256)]
    texts = [f"{'very ' * (37 * number % 97)}{label}" for number, label in enumerate(named)]
    body = client.post("/v1/detect", json={"text": texts}).json()
    assert [result["label"] for result in body["results"]] == named


def test_lists_personas_without_instructions(client: httpx.Client) -> None:
    body = client.get("/v1/personas").json()
    assert [persona["emotion"] for persona in body] == list(LABELS)
    joy = next(persona for persona in builtin_personas().values() if persona.name == "Joy")
    assert body[1] == joy.model_dump(mode="json", exclude={"instruction"})


READY = {
    "status": "ready",
    "operators": {},
    "adapters": {"source": "configured", "fallbacks": {}},
}


@pytest.mark.parametrize(
    ("path", "status"), [("/healthz", {"status": "alive"}), ("/readyz", READY)]
)
def test_reports_liveness_and_readiness(
    client: httpx.Client, path: str, status: dict[str, Any]
) -> None:
    reply = client.get(path)
    assert (reply.status_code, reply.json()) == (200, status)


@pytest.mark.parametrize(
    "body",
    [{"text": "such joy", **SHORT}, {"text": "such joy", **SHORT, **STREAM}, {"text": 1}],
    ids=str,
)
@pytest.mark.parametrize("given", [None, "Abc-1.2_3", "no id at all"])
def test_returns_a_valid_request_id_or_a_new_one(
    client: httpx.Client, body: dict[str, Any], given: str | None
) -> None:
    reply = client.post("/v1/respond", json=body, headers={"x-request-id": given} if given else {})
    [found] = reply.headers.get_list("x-request-id")
    assert found == given if given == "Abc-1.2_3" else re.fullmatch("[0-9a-f-]{32,36}", found)


def test_serves_its_openapi_document(client: httpx.Client) -> None:
    docs, document = client.get("/docs"), client.get("/openapi.json")
    assert (docs.status_code, document.status_code) == (200, 200)
    assert "text/html" in docs.headers["content-type"]
    assert "/v1/respond" in document.json()["paths"]


def test_same_request_gets_the_same_answer_and_a_new_id(client: httpx.Client) -> None:
    first, second = (
        client.post("/v1/respond", json={"text": "such love", **SHORT}).json() for _ in range(2)
    )
    assert first.pop("id") != second.pop("id")
    assert first | {"timings_ms": 0} == second | {"timings_ms": 0}
