"""Candidates in the reply, on every path that answers."""

import json
from typing import Any

import pytest

from serve.pipeline.answer import Answer, AnswerWriter, Candidates
from serve.pipeline.messages import Message
from serve.pipeline.respond import Rules, respond
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

PATHS = (RESPOND, CHAT, COMPLETIONS, RESPONSES)


class PickingResponder(FakeResponder):
    """Responder whose answers are picked from eight."""

    async def answer(self, message: Message, writer: AnswerWriter) -> Answer:
        answer = Answer(message)
        answer.candidates = Candidates(8, 0.75, discarded_tokens=100)
        await respond(answer, writer, self.classify, self, Rules())
        return answer


async def post(path: str, responder: FakeResponder, **fields: Any) -> Any:
    return await http_client(responder).post(path, json=BODIES[path] | fields)


@pytest.mark.parametrize("path", PATHS)
async def test_reply_says_how_the_answer_was_picked(path: str) -> None:
    picked = (await post(path, PickingResponder())).json()
    assert picked["candidates"] == {"n": 8, "score": 0.75}
    assert "100" not in json.dumps(picked["usage"])
    assert (await post(path, FakeResponder())).json()["candidates"] is None


@pytest.mark.parametrize("path", PATHS)
async def test_end_of_a_stream_says_so_too(path: str) -> None:
    reply = await post(path, PickingResponder(), stream=True)
    events = [json.loads(data) for _, data in sse_events(reply) if data != "[DONE]"]
    last = events[-1]["response"] if path == RESPONSES else events[-1]
    assert last["candidates"] == {"n": 8, "score": 0.75}
