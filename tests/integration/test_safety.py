"""Messages that speak of harm get the safety reply in every API."""

import json

import httpx
import pytest

from models.safety.levels import Category
from serve.pipeline.safety import concern_reply, crisis_reply
from support.running_graph import Graph

TEXT = "so much joy, and self-harm"
CALM = crisis_reply(Category.SELF_HARM, None)
MARK = {"level": "crisis", "category": "self-harm", "action": "calm-answer"}
GENTLE = {"level": "concern", "category": None, "action": "gentle-answer"}


@pytest.mark.parametrize("emotion", ["auto", "joy", "anger"])
def test_reply_is_neutral_and_marked(client: httpx.Client, emotion: str) -> None:
    body = client.post("/v1/respond", json={"text": TEXT, "emotion": emotion}).json()
    assert (body["text"], body["safety"], body["persona"], body["adapter"]) == (
        CALM,
        MARK,
        None,
        None,
    )


def test_stream_sends_safety_before_text(client: httpx.Client) -> None:
    lines = client.post("/v1/respond", json={"text": TEXT, "stream": True}).text.splitlines()
    assert [line.removeprefix("event: ") for line in lines if line.startswith("event: ")] == [
        "emotion",
        "safety",
        "delta",
        "done",
    ]


@pytest.mark.parametrize("model", ["auto", "joy", "base"])
@pytest.mark.parametrize("stream", [False, True])
def test_openai_clients_get_the_safety_reply(
    client: httpx.Client, model: str, stream: bool
) -> None:
    request = {
        "model": model,
        "stream": stream,
        "messages": [{"role": "user", "content": TEXT}, {"role": "assistant", "content": "."}],
    }
    request["messages"] = [*request["messages"], {"role": "user", "content": "Well?"}]  # type: ignore[misc]
    reply = client.post("/v1/chat/completions", json=request)
    if stream:
        chunks = [
            json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")
        ]
        assert [chunk["safety"] for chunk in chunks if "safety" in chunk] == [MARK]
        assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == CALM
    else:
        assert reply.json()["safety"] == MARK
        assert reply.json()["choices"][0]["message"]["content"] == CALM


def test_region_selects_helplines(client: httpx.Client) -> None:
    body = client.post("/v1/respond", json={"text": "violence"}, headers={"x-region": "gb"}).json()
    assert "116 123" in body["text"]
    assert body["safety"]["category"] == "violence"


@pytest.mark.parametrize("emotion", ["auto", "anger"])
def test_concern_gets_a_gentle_answer_that_names_help(client: httpx.Client, emotion: str) -> None:
    body = client.post("/v1/respond", json={"text": "a concern", "emotion": emotion}).json()
    assert (body["safety"], body["persona"], body["adapter"]) == (GENTLE, None, None)
    assert body["text"] == concern_reply(1, None)


def test_detect_reports_harm(graph: Graph, client: httpx.Client) -> None:
    texts = ["violence", "much joy", "a concern"]
    results = client.post("/v1/detect", json={"text": texts}).json()["results"]
    assert [result["harm"] for result in results] == ["violence", None, None]
    assert [result["level"] for result in results] == ["crisis", None, "concern"]
