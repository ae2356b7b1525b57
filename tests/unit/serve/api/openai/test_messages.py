"""Histories as people's tools keep them: what is accepted, dropped and rejected."""

from typing import Any

import pytest

from serve.engine.protocol import TextChunk, TokenLogprob
from support.http_client import CHAT, FakeResponder, http_client, openai_client

USER = {"role": "user", "content": "hello"}
Message = dict[str, Any]


async def turns(*messages: Message) -> list[tuple[str, str]]:
    """Return the turns that reach the pipeline, with the user's last one after `messages`."""
    responder = FakeResponder()
    body = {"messages": [*messages, USER]}
    reply = await http_client(responder).post(CHAT, json=body)
    assert reply.status_code == 200, reply.text
    return [(turn.role, turn.text) for turn in responder.messages[0].turns]


WITHOUT_EFFECT: dict[str, Message] = {
    "empty assistant": {"role": "assistant", "content": ""},
    "null assistant": {"role": "assistant", "content": None},
    "assistant without content": {"role": "assistant"},
    "white space of the assistant": {"role": "assistant", "content": " \n"},
    "assistant of empty parts": {"role": "assistant", "content": [{"type": "text", "text": ""}]},
    "assistant without parts": {"role": "assistant", "content": []},
    "empty system": {"role": "system", "content": ""},
    "null system": {"role": "system", "content": None},
    "long system": {"role": "system", "content": "be kind " * 10_000},
    "developer with NUL": {"role": "developer", "content": "\0"},
}


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
async def test_accepts_messages_without_effect(name: str) -> None:
    assert await turns(USER, WITHOUT_EFFECT[name]) == [("user", "hello")] * 2
    assert await turns(WITHOUT_EFFECT[name]) == [("user", "hello")]


FIELDS: dict[str, Any] = {
    "tool_calls": [],
    "function_call": None,
    "annotations": [{"type": "url_citation"}],
    "reasoning_content": "hm",
    "reasoning": {"effort": "low"},
    "refusal": None,
    "name": "somebody",
    "id": "msg-1",
    "cache_control": {"type": "ephemeral"},
    "provider_specific_fields": {"any": 1},
    "audio": None,
}


@pytest.mark.parametrize("field", FIELDS)
async def test_ignores_other_fields_of_a_message(field: str) -> None:
    answer = {"role": "assistant", "content": "yes?", field: FIELDS[field]}
    expected = [("user", "hello"), ("assistant", "yes?"), ("user", "hello")]
    assert await turns(USER | {field: FIELDS[field]}, answer) == expected


async def test_ignores_other_fields_of_a_part() -> None:
    part = {"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}}
    assert (await turns({"role": "user", "content": [part]}))[0] == ("user", "one")


async def test_the_oldest_messages_are_dropped_and_this_is_said() -> None:
    history = [{"role": "user", "content": str(number)} for number in range(300)]
    responder = FakeResponder()
    client = http_client(responder)
    reply = await client.post(CHAT, json={"messages": history})
    assert reply.headers["x-dropped-messages"] == "172"
    assert [turn.text for turn in responder.messages[0].turns] == [
        str(number) for number in range(172, 300)
    ]
    streamed = await client.post(CHAT, json={"messages": history, "stream": True})
    assert streamed.headers["x-dropped-messages"] == "172"
    whole = await client.post(CHAT, json={"messages": history[:128]})
    assert "x-dropped-messages" not in whole.headers


@pytest.mark.parametrize(("asked", "said"), [(257, "256"), (-1, "256"), (256, None), (1, None)])
async def test_a_capped_token_limit_is_said(asked: int, said: str | None) -> None:
    client = http_client(FakeResponder())
    for stream in (False, True):
        body = {"messages": [USER], "max_tokens": asked, "stream": stream}
        assert (await client.post(CHAT, json=body)).headers.get("x-max-tokens") == said


@pytest.mark.parametrize("role", ["user", "assistant"])
async def test_a_message_that_is_too_long_is_a_context_overflow(role: str) -> None:
    """LiteLLM and others shorten the history and try again after this code."""
    messages = [{"role": role, "content": "x" * 4001}, USER]
    reply = await http_client(FakeResponder()).post(CHAT, json={"messages": messages})
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (400, "context_length_exceeded")
    assert error["param"] == "messages.0.content"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"role": "user", "content": None}, "empty"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "only text"),
        ({"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}, "tools"),
        ({"role": "assistant", "content": "\0"}, "NUL"),
        ({"role": "tool", "content": "1", "tool_call_id": "1"}, "role"),
    ],
)
async def test_rejects_what_cannot_be_left_out(message: Message, reason: str) -> None:
    reply = await http_client(FakeResponder()).post(CHAT, json={"messages": [message, USER]})
    assert reply.status_code == 400
    assert reason in reply.json()["error"]["message"]


async def test_log_probabilities_have_openai_s_shape() -> None:
    token = TokenLogprob("Oh", -0.5, (("Oh", -0.5), ("Ä", -1.5)))
    last = TokenLogprob("", -0.25)
    chunks = (TextChunk("Oh", 1, None, (token,)), TextChunk("", 1, "stop", (last,)))
    body = {"messages": [USER], "logprobs": True, "top_logprobs": 2}
    reply = await http_client(FakeResponder(chunks)).post(CHAT, json=body)
    [choice] = reply.json()["choices"]
    assert choice["logprobs"] == {
        "content": [
            {
                "token": "Oh",
                "logprob": -0.5,
                "bytes": [79, 104],
                "top_logprobs": [
                    {"token": "Oh", "logprob": -0.5, "bytes": [79, 104]},
                    {"token": "Ä", "logprob": -1.5, "bytes": [195, 132]},
                ],
            },
            {"token": "", "logprob": -0.25, "bytes": [], "top_logprobs": []},
        ],
        "refusal": None,
    }


async def test_chunks_report_each_token_once() -> None:
    tokens = [TokenLogprob(text, -0.5) for text in ("Oh", " no", "")]
    chunks = (
        TextChunk("Oh", 1, None, (tokens[0],)),
        TextChunk(" no", 1, None, (tokens[1],)),
        TextChunk("", 1, "stop", (tokens[2],)),
    )
    client = openai_client(FakeResponder(chunks))
    messages: Any = [USER]
    stream = await client.chat.completions.create(
        model="joy", messages=messages, logprobs=True, stream=True
    )
    found = [chunk.choices[0].logprobs async for chunk in stream]
    texts = [[token.token for token in one.content or []] if one else None for one in found]
    assert texts == [None, ["Oh"], [" no"], [""]]
