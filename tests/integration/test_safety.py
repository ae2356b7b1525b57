"""A message that speaks of harm gets calm words in every API, whatever was asked for. The scripted reader finds harm by its name."""

import json

import httpx
import pytest

from models.detector.harm import Category
from serve.pipeline.safety import safety_reply
from support.running_graph import Graph

TEXT = "so much joy, and self-harm"
CALM = safety_reply(Category.SELF_HARM, None)
MARK = {"category": "self-harm", "action": "calm-answer"}


@pytest.mark.parametrize("emotion", ["auto", "joy", "anger"])
def test_the_answer_is_calm_and_marked(client: httpx.Client, emotion: str) -> None:
    body = client.post("/v1/respond", json={"text": TEXT, "emotion": emotion}).json()
    assert (body["text"], body["safety"], body["persona"], body["adapter"]) == (CALM, MARK, None, None)


def test_the_stream_says_so_before_the_words(client: httpx.Client) -> None:
    lines = client.post("/v1/respond", json={"text": TEXT, "stream": True}).text.splitlines()
    assert [line.removeprefix("event: ") for line in lines if line.startswith("event: ")] == ["emotion", "safety", "delta", "done"]


@pytest.mark.parametrize("model", ["auto", "joy", "base"])
@pytest.mark.parametrize("stream", [False, True])
def test_openai_clients_get_the_same(client: httpx.Client, model: str, stream: bool) -> None:
    request = {"model": model, "stream": stream, "messages": [{"role": "user", "content": TEXT}, {"role": "assistant", "content": "."}]}
    request["messages"] = [*request["messages"], {"role": "user", "content": "Well?"}]  # type: ignore[misc]
    reply = client.post("/v1/chat/completions", json=request)
    if stream:
        chunks = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]
        assert [chunk["safety"] for chunk in chunks if "safety" in chunk] == [MARK]
        assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == CALM
    else:
        assert reply.json()["safety"] == MARK
        assert reply.json()["choices"][0]["message"]["content"] == CALM


def test_the_region_chooses_the_lines(client: httpx.Client) -> None:
    body = client.post("/v1/respond", json={"text": "violence"}, headers={"x-region": "gb"}).json()
    assert "116 123" in body["text"]
    assert body["safety"]["category"] == "violence"


def test_detection_alone_tells_it(graph: Graph, client: httpx.Client) -> None:
    body = client.post("/v1/detect", json={"text": ["violence", "much joy"]}).json()
    assert [result["harm"] for result in body["results"]] == ["violence", None]
