"""The HTTP application on stages that are not there: streams that break, and errors that name the field."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource

from models.emotions import Emotion
from serve.detector import Scores
from serve.errors import EngineError, NotReady, PromptTooLong
from serve.http import make_http_app
from serve.ingress import this_ingress
from serve.pipeline import Event, Message, answer
from serve.responder import Piece
from stages import ANSWER, FakeStages, scores

SECRET = "what-the-user-wrote"
CHAT = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "hello"}]}
Connect = Callable[[FakeStages], httpx.AsyncClient]


class FakeIngress(FakeStages):
    """What the routes ask of an ingress."""

    def answer(self, message: Message) -> AsyncGenerator[Event]:
        return answer(self, message)

    async def detect_many(self, texts: list[str]) -> tuple[str, list[Scores]]:
        return "fake", [scores(self.best) for _ in texts]

    async def probe(self) -> None:
        if self.fails:
            raise self.fails


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    clients = []

    def to(ingress: FakeStages) -> httpx.AsyncClient:
        app = make_http_app()
        app.dependency_overrides[this_ingress] = lambda: ingress
        clients.append(httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://test"))
        return clients[-1]

    yield to
    for client in clients:
        await client.aclose()


def sse(reply: httpx.Response) -> list[tuple[str, str]]:
    """Events of a stream, as the terminal client reads them: name and data."""
    return [(event.event, event.data) for event in EventSource(reply).iter_sse()]


async def test_a_stream_that_breaks_ends_with_the_problem(connect: Connect) -> None:
    client = connect(FakeIngress(ANSWER[:2], fails=EngineError("the engine failed")))
    reply = await client.post("/v1/respond", json={"text": "hello", "stream": True})
    events = [(name, json.loads(data)) for name, data in sse(reply)]
    assert [name for name, _ in events] == ["emotion", "delta", "delta", "error"]
    assert events[-1][1]["type"] == "urn:face-your-emotions:engine"
    assert events[-1][1]["detail"] == "the engine failed"


async def test_a_stream_that_cannot_even_detect_ends_with_the_problem(connect: Connect) -> None:
    client = connect(FakeIngress((), fails=ValueError(SECRET)))
    reply = await client.post("/v1/respond", json={"text": "hello", "stream": True})
    [(name, data)] = sse(reply)
    assert (name, json.loads(data)["type"]) == ("error", "urn:face-your-emotions:internal")
    assert SECRET not in reply.text


async def test_an_openai_stream_that_breaks_ends_with_the_error_and_done(connect: Connect) -> None:
    client = connect(FakeIngress(ANSWER[:1], fails=PromptTooLong("too long")))
    reply = await client.post(CHAT, json=HELLO | {"stream": True})
    data = [data for _, data in sse(reply)]
    assert data[-1] == "[DONE]"
    assert json.loads(data[-2])["error"]["code"] == "prompt-too-long"


@pytest.mark.parametrize("path", ["/v1/respond", CHAT])
async def test_a_whole_answer_that_breaks_is_a_problem_not_half_an_answer(connect: Connect, path: str) -> None:
    client = connect(FakeIngress(ANSWER[:2], fails=EngineError("the engine failed")))
    reply = await client.post(path, json=HELLO if path == CHAT else {"text": "hello"})
    assert reply.status_code == 500
    assert "Oh" not in reply.text


async def test_text_travels_unchanged(connect: Connect) -> None:
    text = "na\u00efve \u65e5\u672c \u2028 \U0001f9ff \u202e \"'\\ <eos>"
    ingress = FakeIngress((Piece(text, "stop", 1, 1),))
    client = connect(ingress)
    whole = await client.post("/v1/respond", json={"text": text})
    stream = await client.post("/v1/respond", json={"text": text, "stream": True})
    assert whole.json()["text"] == text
    assert json.loads(sse(stream)[1][1]) == {"text": text}
    assert ingress.detected == [text, text]


async def test_readiness_is_503_until_every_stage_answers(connect: Connect) -> None:
    assert (await connect(FakeIngress()).get("/readyz")).status_code == 200
    reply = await connect(FakeIngress(fails=NotReady("a stage has not answered yet"))).get("/readyz")
    assert (reply.status_code, reply.json()["type"]) == (503, "urn:face-your-emotions:not-ready")


async def test_life_does_not_depend_on_the_stages(connect: Connect) -> None:
    assert (await connect(FakeIngress(fails=NotReady("no"))).get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/respond", {"text": 4}, "text"),
        ("/v1/respond", {}, "text"),
        ("/v1/respond", [], "body"),
        ("/v1/detect", {"text": ""}, "text"),
        ("/v1/detect", {"text": ["fine", "fine", "\0"]}, "text.2"),
        ("/v1/detect", {"text": {}}, "text"),
        ("/v1/detect", {"text": "fine", "texts": []}, "texts"),
    ],
)
async def test_one_mistake_is_one_error_at_its_place_in_the_body(connect: Connect, path: str, body: Any, field: str) -> None:
    reply = await connect(FakeIngress()).post(path, json=body)
    assert (reply.status_code, [row["field"] for row in reply.json()["errors"]]) == (422, [field])


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
async def test_openais_error_names_the_place_too(connect: Connect, change: dict[str, Any], where: str) -> None:
    reply = await connect(FakeIngress()).post(CHAT, json=HELLO | change)
    assert reply.status_code == 422
    assert where in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("given", "tokens"),
    [({}, 96), ({"max_tokens": 5}, 5), ({"max_completion_tokens": 6}, 6), ({"max_tokens": 5, "max_completion_tokens": 6}, 6)],
)
async def test_both_names_of_the_token_limit_are_understood(connect: Connect, given: dict[str, int], tokens: int) -> None:
    ingress = FakeIngress()
    await connect(ingress).post(CHAT, json=HELLO | given)
    assert ingress.asked[0].sampling.max_tokens == tokens


async def test_a_conversation_reaches_the_responder_without_its_system_message(connect: Connect) -> None:
    ingress = FakeIngress(best=Emotion.LOVE)
    parts = [{"type": "text", "text": "two"}, {"type": "text", "text": "lines"}]
    turns = [("system", "be brief"), ("user", "one"), ("assistant", "yes?"), ("user", parts)]
    await connect(ingress).post(CHAT, json={"messages": [{"role": role, "content": content} for role, content in turns]})
    assert [(turn.role, turn.text) for turn in ingress.asked[0].turns] == [("user", "one"), ("assistant", "yes?"), ("user", "two\nlines")]
    assert ingress.detected == ["two\nlines"]


async def test_the_document_describes_every_path(connect: Connect) -> None:
    paths = (await connect(FakeIngress()).get("/openapi.json")).json()["paths"]
    assert set(paths) == {"/v1/respond", "/v1/detect", "/v1/personas", "/v1/models", CHAT, "/healthz", "/readyz"}
    assert "application/problem+json" in paths["/v1/respond"]["post"]["responses"]["422"]["content"]
    assert "text/event-stream" in paths["/v1/respond"]["post"]["responses"]["200"]["content"]
