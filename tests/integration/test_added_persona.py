"""An added persona on the running graph: selectable from its promotion to its rollback."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from models.emotions import LABELS
from support.adapters import write_adapter
from support.running_graph import Graph

ADMIN = "/v1/admin/adapters"
CALM = {"text": "much anger", "emotion": "calm", "max_tokens": 4}
MESSAGES: Any = [{"role": "user", "content": "much anger"}]


async def under_load(client: httpx.AsyncClient, persona: str, answered: list[str]) -> None:
    """One of the six is asked without a pause, and answers by itself and as itself."""
    while True:
        body = (
            await client.post("/v1/respond", json={"text": f"much {persona}", "max_tokens": 2})
        ).json()
        assert (body["persona"], body["text"]) == (persona, f"[{body['adapter']}] I")
        assert body["adapter"].startswith(f"{persona}@")
        answered.append(persona)


async def models(client: httpx.AsyncClient) -> list[str]:
    return [model["id"] for model in (await client.get("/v1/models")).json()["data"]]


async def refused(client: httpx.AsyncClient) -> None:
    """As any unknown name is, in both APIs."""
    reply = await client.post("/v1/respond", json=CALM)
    assert (reply.status_code, [row["field"] for row in reply.json()["errors"]]) == (
        422,
        ["emotion"],
    )
    reply = await client.post("/v1/chat/completions", json={"model": "calm", "messages": MESSAGES})
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown-model")
    assert await models(client) == ["auto", *LABELS, "base"]


async def answers(client: httpx.AsyncClient, graph: Graph, version: str) -> None:
    body = (await client.post("/v1/respond", json=CALM)).json()
    assert (body["persona"], body["adapter"], body["text"]) == (
        "calm",
        version,
        f"[{version}] I hear you,",
    )
    assert (body["emotion"]["label"], body["emotion"]["score"]) == ("anger", 0.9), (
        "the emotion is the message's"
    )
    async with openai.AsyncOpenAI(
        base_url=f"{graph.url}/v1", api_key="unused", max_retries=0
    ) as api:
        completion = await api.chat.completions.create(
            model="calm", messages=MESSAGES, max_tokens=2
        )
    assert (completion.choices[0].message.content, completion.system_fingerprint) == (
        f"[{version}] I",
        version,
    )
    assert await models(client) == ["auto", *LABELS, "calm", "base"]
    listed = (await client.get("/v1/personas")).json()
    assert [(persona["name"], persona["emotion"]) for persona in listed[5:]] == [
        ("Surprise", "surprise"),
        ("Calm", None),
    ]


async def rolled_back_amid_an_answer(client: httpx.AsyncClient, version: str) -> None:
    """An answer that has begun is written to its end."""
    async with client.stream(
        "POST", "/v1/respond", json=CALM | {"stream": True, "max_tokens": 12}
    ) as reply:
        lines = reply.aiter_lines()
        while not (await anext(lines)).startswith("event: delta"):
            pass
        back = await client.post(f"{ADMIN}/rollback", json={"persona": "calm"})
        assert [row["promoted"] for row in back.json() if row["name"] == version] == [False]
        *_, last = [line async for line in lines if line.startswith("data: ")]
    done = json.loads(last.removeprefix("data: "))
    assert (done["adapter"], done["usage"]["completion_tokens"]) == (version, 12)


async def test_adds_and_removes_a_persona_under_load(
    graph: Graph, async_client: httpx.AsyncClient, tmp_path: Path
) -> None:
    write_adapter(tmp_path / "calm", "calm")
    answered: list[str] = []
    load = [asyncio.create_task(under_load(async_client, label, answered)) for label in LABELS]
    try:
        await refused(async_client)
        version = (await async_client.post(ADMIN, json={"folder": str(tmp_path / "calm")})).json()[
            -1
        ]["name"]
        await refused(async_client)
        assert (
            await async_client.post(f"{ADMIN}/promote", json={"name": version})
        ).status_code == 200
        await answers(async_client, graph, version)
        await rolled_back_amid_an_answer(async_client, version)
        await asyncio.sleep(1)  # for which an ingress takes a name to be there still
        await refused(async_client)
    finally:
        for task in load:
            task.cancel()
    ended = await asyncio.gather(*load, return_exceptions=True)
    assert all(isinstance(error, asyncio.CancelledError) for error in ended), ended
    assert set(answered) == set(LABELS)


@pytest.mark.parametrize(
    ("file", "reason"), [(None, "persona.toml"), ('name = "Joy"', "instruction")]
)
async def test_rejects_a_persona_without_a_definition(
    graph: Graph, async_client: httpx.AsyncClient, tmp_path: Path, file: str | None, reason: str
) -> None:
    write_adapter(tmp_path / "pride", "pride", persona_toml=file)
    reply = await async_client.post(ADMIN, json={"folder": str(tmp_path / "pride")})
    assert (reply.status_code, reply.json()["type"]) == (
        422,
        "urn:face-your-emotions:adapter-rejected",
    )
    assert reply.json()["detail"].startswith("pride: ")
    assert reason in reply.json()["detail"]
