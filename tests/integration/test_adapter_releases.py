"""Adapter versions on the running graph under load: no request fails or mixes two versions."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from models.emotions import Emotion
from models.manifest import AdapterManifest
from serve.adapters.registry import SYNC_INTERVAL_S
from serve.adapters.trial import Trial
from serve.cli.adapters import app
from serve.engine.scripted import script
from support.adapters import write_adapter
from support.admin_key import ADMIN_SECRET
from support.fakes import SCRIPTED_TOKENS
from support.running_graph import Graph, kill_replica

ADMIN = "/v1/admin/adapters"
KEY = {"FYE_KEY": ADMIN_SECRET}


def answering(versions: list[dict[str, Any]]) -> str:
    names = (
        version["name"]
        for version in versions
        if version["persona"] == "joy" and version["promoted"]
    )
    return str(next(names))


async def asked(client: httpx.AsyncClient, tokens: int = 4) -> str:
    """The version that an answer names, which is the one that wrote all of it."""
    reply = await client.post("/v1/respond", json={"text": "much joy", "max_tokens": tokens})
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert body["text"].split() == script(body["adapter"]).split()[:tokens]
    return str(body["adapter"])


async def under_load(
    client: httpx.AsyncClient, seen: list[str], tokens: int, enough: asyncio.Event
) -> None:
    while not enough.is_set():
        seen.append(await asked(client, tokens))


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    write_adapter(tmp_path / "fresh", Emotion.JOY)
    return tmp_path / "fresh"


async def test_promotes_and_rolls_back_a_version_under_load(
    graph: Graph, async_client: httpx.AsyncClient, fresh: Path
) -> None:
    """Half of the answers take longer than a change, and name their version at the end, too."""
    seen: list[str] = []
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as load:
        for tokens in (4, SCRIPTED_TOKENS) * 4:
            load.create_task(under_load(async_client, seen, tokens, enough))
        published = (await async_client.post(ADMIN, json={"folder": str(fresh)})).json()
        new, old = published[-1]["name"], answering(published)
        assert (
            published[-1]["promoted"],
            published[-1]["resident"],
            published[-1]["replicas"],
        ) == (False, 1, 1)
        assert await asked(async_client) == old
        promoted = await async_client.post(f"{ADMIN}/promote", json={"name": new})
        assert answering(promoted.json()) == new
        assert {await asked(async_client) for _ in range(3)} == {new}
        back = await async_client.post(f"{ADMIN}/rollback", json={"persona": "joy"})
        assert answering(back.json()) == old
        assert await asked(async_client) == old
        enough.set()
    assert set(seen) == {old, new}


async def test_a_trial_answers_its_share_of_the_users(
    graph: Graph, async_client: httpx.AsyncClient, tmp_path: Path
) -> None:
    write_adapter(tmp_path / "tried", Emotion.JOY, rank=2)
    published = (await async_client.post(ADMIN, json={"folder": str(tmp_path / "tried")})).json()
    new, old = published[-1]["name"], answering(published)
    body = {"name": new, "share": 0.5}
    assert answering((await async_client.post(f"{ADMIN}/promote", json=body)).json()) == old
    trial = Trial(name=new, share=0.5)
    expected = [new if trial.takes(f"user {number}") else old for number in range(20)]
    assert set(expected) == {new, old}
    for text in ("much joy", "more joy"):
        found = await asyncio.gather(
            *(asked_by(async_client, f"{number}", text) for number in range(20))
        )
        assert found == expected
    await async_client.post(f"{ADMIN}/rollback", json={"persona": "joy"})
    assert await asked_by(async_client, f"{expected.index(new)}", "much joy") == old


async def test_a_version_with_much_longer_answers_is_rolled_back(
    graph: Graph, async_client: httpx.AsyncClient, tmp_path: Path
) -> None:
    write_adapter(tmp_path / "long", Emotion.JOY, rank=1)
    published = (await async_client.post(ADMIN, json={"folder": str(tmp_path / "long")})).json()
    new, old = published[-1]["name"], answering(published)
    await async_client.post(f"{ADMIN}/promote", json={"name": new, "share": 0.5})
    trial = Trial(name=new, share=0.5)
    # Answers end before a word of theirs: after 5 tokens, or after 2.
    stops = {f"{number}": "and" if trial.takes(f"user {number}") else "I" for number in range(40)}
    answers = (asked_by(async_client, user, "joy", stop=stop) for user, stop in stops.items())
    assert set(await asyncio.gather(*answers)) == {new, old}
    found = await status_once(async_client, lambda trial: trial["rolled_back_at"] is not None)
    assert (found["verdict"], found["old"]["name"], found["new"]["name"]) == ("worse", old, new)
    assert found["reason"].startswith("tokens is worse by at least 1.5")
    assert found["old"]["figures"]["answers"] + found["new"]["figures"]["answers"] <= 40
    async with asyncio.timeout(60):
        while await asked_by(async_client, max(stops, key=stops.__getitem__), "joy") == new:
            pass  # the replica hears of it with its next report


async def status_once(
    client: httpx.AsyncClient, condition: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """The only trial, once it meets a condition."""
    async with asyncio.timeout(60):
        while True:
            [trial] = (await client.get(f"{ADMIN}/status")).json()
            if condition(trial):
                return dict(trial)
            await asyncio.sleep(0.2)


async def asked_by(client: httpx.AsyncClient, user: str, text: str, stop: str | None = None) -> str:
    """The version that answers a user, with two tokens or up to a word."""
    messages = [{"role": "user", "content": text}]
    end: dict[str, str | int] = {"stop": stop} if stop else {"max_tokens": 2}
    body = {"messages": messages, "model": "joy", "user": user, **end}
    reply = await client.post("/v1/chat/completions", json=body)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["system_fingerprint"])


async def test_rejects_invalid_changes_with_a_reason(
    graph: Graph, async_client: httpx.AsyncClient, fresh: Path
) -> None:
    (fresh / "adapter_model.safetensors").write_bytes(b"")
    spoilt = await async_client.post(ADMIN, json={"folder": str(fresh)})
    unknown = await async_client.post(f"{ADMIN}/promote", json={"name": "joy@nothing"})
    first = await async_client.post(f"{ADMIN}/rollback", json={"persona": "fear"})
    assert [reply.status_code for reply in (spoilt, unknown, first)] == [422, 422, 422]
    assert {reply.json()["type"] for reply in (spoilt, unknown, first)} == {
        "urn:face-your-emotions:adapter-rejected"
    }
    assert "no earlier version of fear" in first.json()["detail"]


def test_command_lists_versions(graph: Graph) -> None:
    shown = CliRunner().invoke(app, ["list", "--url", graph.url], env=KEY)
    assert shown.exit_code == 0
    assert "sadness@scripted" in shown.stdout
    refused = CliRunner().invoke(app, ["promote", "joy@nothing", "--url", graph.url], env=KEY)
    assert refused.exit_code == 1
    assert "joy@nothing is not published" in refused.stderr


def command(graph: Graph, *arguments: str) -> dict[str, bool]:
    """Every version that the command's table shows, and whether it answers."""
    done = CliRunner().invoke(app, [*arguments, "--url", graph.url], env=KEY)
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.stdout.splitlines() if "@" in line]
    return {row[1]: "yes" in row for row in rows}


def test_promoted_version_survives_the_controller(
    graph: Graph, client: httpx.Client, tmp_path: Path
) -> None:
    def joy() -> str:
        return str(
            client.post("/v1/respond", json={"text": "much joy", "max_tokens": 2}).json()["adapter"]
        )

    write_adapter(tmp_path / "next", Emotion.JOY, rank=4)
    old, new = joy(), AdapterManifest.read(tmp_path / "next").versioned_name
    published = command(graph, "publish", str(tmp_path / "next"))
    assert (published[new], published[old], joy()) == (False, True, old)
    promoted = command(graph, "promote", new)
    assert (promoted[new], promoted[old], joy()) == (True, False, new)
    kill_replica("AdapterController")
    asked_until_s = time.monotonic() + 3 * SYNC_INTERVAL_S
    while time.monotonic() < asked_until_s:
        assert (command(graph, "list")[new], joy()) == (True, new)
    back = command(graph, "rollback", "joy")
    assert (back[new], back[old], joy()) == (False, True, old)
