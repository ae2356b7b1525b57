"""OpenAI's path on stages that are not there: what reaches them, and what a client is told."""

import json
from typing import Any

import pytest

from models.emotions import Emotion
from serve.errors import PromptTooLong
from support.fakes import ANSWER
from support.http_client import FakeIngress, http_client, sse

CHAT = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "hello"}]}


async def test_an_openai_stream_that_breaks_ends_with_the_error_and_done() -> None:
    client = http_client(FakeIngress(ANSWER[:1], fails=PromptTooLong("too long")))
    reply = await client.post(CHAT, json=HELLO | {"stream": True})
    data = [data for _, data in sse(reply)]
    assert data[-1] == "[DONE]"
    assert json.loads(data[-2])["error"]["code"] == "prompt-too-long"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"messages": [{"role": "user", "content": " "}]}, "messages.0.content: "),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, "messages.0.content.0.text: "),
        ({"stop": ["fine", ""]}, "stop.1: "),
        ({"n": 2}, "n: "),
        ({"tools": []}, "tools: "),
        ({"messages": [{"role": "assistant", "content": "hello"}]}, "the last message must be the user's"),
        ({"messages": [{"role": "system", "content": "hello"}]}, "the last message must be the user's"),
    ],
)
async def test_openais_error_names_the_place_too(change: dict[str, Any], where: str) -> None:
    reply = await http_client(FakeIngress()).post(CHAT, json=HELLO | change)
    assert reply.status_code == 400
    assert where in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("given", "tokens"),
    [({}, 96), ({"max_tokens": 5}, 5), ({"max_completion_tokens": 6}, 6), ({"max_tokens": 5, "max_completion_tokens": 6}, 6)],
)
async def test_both_names_of_the_token_limit_are_understood(given: dict[str, int], tokens: int) -> None:
    ingress = FakeIngress()
    await http_client(ingress).post(CHAT, json=HELLO | given)
    assert ingress.asked[0].sampling.max_tokens == tokens


async def test_a_conversation_reaches_the_responder_without_its_system_message() -> None:
    ingress = FakeIngress(best=Emotion.LOVE)
    parts = [{"type": "text", "text": "two"}, {"type": "text", "text": "lines"}]
    turns = [("system", "be brief"), ("user", "one"), ("assistant", "yes?"), ("user", parts)]
    await http_client(ingress).post(CHAT, json={"messages": [{"role": role, "content": content} for role, content in turns]})
    assert [(turn.role, turn.text) for turn in ingress.asked[0].turns] == [("user", "one"), ("assistant", "yes?"), ("user", "two\nlines")]
    assert ingress.read_texts == [["one", "two\nlines"]]
