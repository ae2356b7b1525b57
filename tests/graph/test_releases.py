"""Releases of adapters on the running graph, under load: no request fails, and each is answered by one version, the one it names."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from models.emotions import Emotion
from running_graph import Graph
from serve.adapters_command import app
from stages import write_adapter

ADMIN = "/v1/admin/adapters"
JOY = {"text": "much joy", "max_tokens": 4}


def answering(versions: list[dict[str, Any]]) -> str:
    return next(version["name"] for version in versions if version["persona"] == "joy" and version["answers"])


async def asked(client: httpx.AsyncClient) -> str:
    """The version that an answer names, which is the one that wrote all of it."""
    body = (await client.post("/v1/respond", json=JOY)).json()
    assert body["text"] == f"[{body['adapter']}] I hear you,"
    return str(body["adapter"])


async def under_load(client: httpx.AsyncClient, seen: list[str]) -> None:
    while True:
        seen.append(await asked(client))


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    write_adapter(tmp_path / "fresh", Emotion.JOY)
    return tmp_path / "fresh"


async def test_a_version_is_swapped_and_swapped_back_under_load(graph: Graph, async_client: httpx.AsyncClient, fresh: Path) -> None:
    seen: list[str] = []
    load = [asyncio.create_task(under_load(async_client, seen)) for _ in range(8)]
    try:
        published = (await async_client.post(ADMIN, json={"folder": str(fresh)})).json()
        new, old = published[-1]["name"], answering(published)
        assert (published[-1]["answers"], published[-1]["resident"], published[-1]["replicas"]) == (False, 1, 1)
        assert await asked(async_client) == old
        promoted = await async_client.post(f"{ADMIN}/promote", json={"name": new})
        assert answering(promoted.json()) == new
        assert {await asked(async_client) for _ in range(3)} == {new}
        back = await async_client.post(f"{ADMIN}/rollback", json={"persona": "joy"})
        assert answering(back.json()) == old
        assert await asked(async_client) == old
    finally:
        for task in load:
            task.cancel()
    ended = await asyncio.gather(*load, return_exceptions=True)
    assert all(isinstance(error, asyncio.CancelledError) for error in ended), ended
    assert set(seen) == {old, new}


async def test_what_cannot_be_released_is_refused_with_its_reason(graph: Graph, async_client: httpx.AsyncClient, fresh: Path) -> None:
    (fresh / "adapter_model.safetensors").write_bytes(b"")
    spoilt = await async_client.post(ADMIN, json={"folder": str(fresh)})
    unknown = await async_client.post(f"{ADMIN}/promote", json={"name": "joy@nothing"})
    first = await async_client.post(f"{ADMIN}/rollback", json={"persona": "fear"})
    assert [reply.status_code for reply in (spoilt, unknown, first)] == [422, 422, 422]
    assert {reply.json()["type"] for reply in (spoilt, unknown, first)} == {"urn:face-your-emotions:adapter-refused"}
    assert "no earlier version of fear" in first.json()["detail"]


def test_the_command_shows_what_answers(graph: Graph) -> None:
    shown = CliRunner().invoke(app, ["list", "--url", graph.url])
    assert shown.exit_code == 0
    assert "sadness@scripted" in shown.stdout
    refused = CliRunner().invoke(app, ["promote", "joy@nothing", "--url", graph.url])
    assert refused.exit_code == 1
    assert "joy@nothing is not published" in refused.stderr
