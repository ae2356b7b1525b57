"""Candidates in a running graph: what is picked and streamed, and which answers have none."""

import json
from collections.abc import Iterator

import httpx
import pytest

from serve.config import SCRIPTED, DetectorConfig, Replicas, ResponderConfig, ScriptedConfig
from serve.engine.scripted import script
from support.fakes import SCRIPTED_TOKENS
from support.running_graph import Graph

FREE = Replicas(cpus=0)  # next to the graph of the other tests
APP = "candidates"
CHAT, RESPOND = "/v1/chat/completions", "/v1/respond"
CONFIG = SCRIPTED.model_copy(
    update={
        "detector": DetectorConfig(kind="scripted", replicas=FREE),
        "responder": ResponderConfig(
            kind="scripted",
            candidates=8,
            critic="critic",
            scripted=ScriptedConfig(token_s=0.01),
            replicas=FREE,
        ),
    }
)


@pytest.fixture(scope="module")
def picking(graph: Graph) -> Iterator[httpx.Client]:
    """Second application with eight candidates, under `/candidates`."""
    from ray import serve

    from serve.app import build

    serve.run(build(CONFIG), name=APP, route_prefix=f"/{APP}")
    with httpx.Client(base_url=f"{graph.url}/{APP}", timeout=60) as client:
        yield client
    serve.delete(APP)


def test_the_answer_that_the_critic_likes_is_streamed(picking: httpx.Client) -> None:
    body = {"text": "such joy, I like #6", "stream": True}
    events = [
        json.loads(line.removeprefix("data: "))
        for line in picking.post(RESPOND, json=body).text.splitlines()
        if line.startswith("data: ")
    ]
    deltas = [event["text"] for event in events if "text" in event]
    assert "".join(deltas) == script("joy@scripted", 6)
    assert len(deltas) > 1
    done = events[-1]
    assert done["candidates"] == {"n": 8, "score": 0.9526}
    assert done["usage"]["completion_tokens"] == SCRIPTED_TOKENS
    assert done["finish_reason"] == "stop"


def test_openai_client_gets_the_picked_answer_of_a_blend(picking: httpx.Client) -> None:
    messages = [{"role": "user", "content": "I like #3"}]
    reply = picking.post(CHAT, json={"model": "joy+fear", "messages": messages}).json()
    assert reply["choices"][0]["message"]["content"].startswith("[blend@")
    assert " #3 hear you" in reply["choices"][0]["message"]["content"]
    assert reply["candidates"] == {"n": 8, "score": 0.9526}
    assert reply["blend"] == {"joy": 0.5, "fear": 0.5}
    assert reply["usage"]["completion_tokens"] == SCRIPTED_TOKENS


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (RESPOND, {"text": "such joy, and self-harm"}),
        (RESPOND, {"text": "such joy, and concern"}),
        (RESPOND, {"text": "such joy", "temperature": 0}),
        (CHAT, {"messages": [{"role": "user", "content": "Hm."}], "model": "base"}),
        (CHAT, {"messages": [{"role": "user", "content": "Hm."}], "logprobs": True}),
    ],
    ids=["crisis", "concern", "greedy", "base", "logprobs"],
)
def test_other_answers_are_written_once(
    picking: httpx.Client, path: str, body: dict[str, object]
) -> None:
    reply = picking.post(path, json=body)
    assert reply.status_code == 200, reply.text
    assert reply.json()["candidates"] is None
