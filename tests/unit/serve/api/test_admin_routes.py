"""Administration of adapters: rights, what is passed on, and the audit log."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.emotions import LABELS
from serve.adapters.guard import Guard
from serve.adapters.registry import ControllerStatus, ReplicaReport, Version
from serve.adapters.trial import Trial
from serve.api.auth import KeyRing, new_secret, sha256_of
from serve.api.dependencies import find_admin
from serve.config import GuardConfig
from serve.errors import Forbidden
from support.admin_key import ADMIN_HEADERS
from support.http_client import FakeResponder, http_client

PATH = "/v1/admin/adapters"
NEW = Version(name="joy@2", persona="joy")
Call = tuple[str, str, dict[str, Any] | None]
CALLS: dict[str, Call] = {
    "list": ("GET", PATH, None),
    "status": ("GET", f"{PATH}/status", None),
    "publish": ("POST", PATH, {"folder": "/adapters/joy"}),
    "promote": ("POST", f"{PATH}/promote", {"name": "joy@2"}),
    "rollback": ("POST", f"{PATH}/rollback", {"persona": "joy"}),
}
EVERY_CALL = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture
def responder() -> FakeResponder:
    """Responder with a second version of joy that is not promoted."""
    responder = FakeResponder()
    responder.releases = responder.releases.publish(NEW, capacity=8)
    return responder


def promoted(reply: httpx.Response) -> list[str]:
    assert reply.status_code == 200
    return [version["name"] for version in reply.json() if version["promoted"]]


def key_ring(folder: Path, secret: str, scope: str) -> KeyRing:
    file = folder / "keys.toml"
    file.write_text(
        f'[[keys]]\nname = "one"\nsha256 = "{sha256_of(secret)}"\nscopes = ["{scope}"]\n'
    )
    return KeyRing(file)


def operator(responder: FakeResponder) -> httpx.AsyncClient:
    client = http_client(responder)
    client.headers.update(ADMIN_HEADERS)
    return client


async def send(client: httpx.AsyncClient, call: Call, authorization: str = "") -> httpx.Response:
    method, path, body = call
    headers = {"authorization": authorization} if authorization else {}
    return await client.request(method, path, json=body, headers=headers)


@EVERY_CALL
@pytest.mark.parametrize("authorization", ["", "Bearer wrong"])
@pytest.mark.parametrize("configured", [True, False])
async def test_needs_a_known_key_with_and_without_configured_keys(
    responder: FakeResponder, tmp_path: Path, call: Call, authorization: str, configured: bool
) -> None:
    before = responder.releases
    keys = key_ring(tmp_path, new_secret(), "admin") if configured else None
    client = http_client(responder, keys=keys)
    assert (await send(client, call, authorization)).status_code == 401
    assert (responder.releases, responder.published) == (before, [])


def test_there_is_no_administration_without_any_key() -> None:
    with pytest.raises(Forbidden, match="api_keys"):
        find_admin(None, "")


@EVERY_CALL
async def test_needs_the_scope_admin(responder: FakeResponder, tmp_path: Path, call: Call) -> None:
    secret = new_secret()
    before = responder.releases
    client = http_client(responder, keys=key_ring(tmp_path, secret, "respond"))
    assert (await send(client, call, f"Bearer {secret}")).status_code == 403
    assert (responder.releases, responder.published) == (before, [])


async def test_a_key_with_the_scope_may_administrate_from_anywhere(
    responder: FakeResponder, tmp_path: Path
) -> None:
    secret = new_secret()
    keys = key_ring(tmp_path, secret, "admin")
    client = http_client(responder, keys=keys, on_loopback=False)
    assert len(promoted(await send(client, CALLS["list"], f"Bearer {secret}"))) == len(LABELS)


async def test_lists_versions_with_their_replicas(
    responder: FakeResponder, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = frozenset(version.name for version in responder.releases.versions)
    reports = {
        "one": ReplicaReport("one", every, {}, {}),
        "two": ReplicaReport("two", every - {"joy@2"}, {}, {}),
    }

    async def status() -> ControllerStatus:
        return ControllerStatus(responder.releases, reports)

    monkeypatch.setattr(responder, "adapter_status", status)
    found = {
        version["name"]: version
        for version in (await http_client(responder).get(PATH, headers=ADMIN_HEADERS)).json()
    }
    assert list(found) == [*(f"{label}@scripted" for label in LABELS), "joy@2"]
    resident = {"replicas": 2, "persona": "joy"}
    assert found["joy@2"] == resident | {
        "name": "joy@2",
        "promoted": False,
        "share": 0,
        "resident": 1,
    }
    assert found["joy@scripted"] == resident | {
        "name": "joy@scripted",
        "promoted": True,
        "share": 1,
        "resident": 2,
    }


async def test_compares_the_versions_of_a_trial(
    responder: FakeResponder, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = responder.releases.try_out(Trial(name="joy@2", share=0.1))

    async def status() -> ControllerStatus:
        return ControllerStatus(releases, {}, Guard(GuardConfig()).status(releases))

    monkeypatch.setattr(responder, "adapter_status", status)
    reply = await http_client(responder).get(f"{PATH}/status", headers=ADMIN_HEADERS)
    [found] = reply.json()
    assert (found["persona"], found["verdict"], found["rolled_back_at"]) == (
        "joy",
        "collecting",
        None,
    )
    assert (found["old"]["name"], found["old"]["share"]) == ("joy@scripted", 0.9)
    assert (found["new"]["name"], found["new"]["figures"]["answers"]) == ("joy@2", 0)


async def test_promotes_and_rolls_back_by_name(responder: FakeResponder) -> None:
    client = operator(responder)
    after = promoted(await client.post(f"{PATH}/promote", json={"name": "joy@2"}))
    assert "joy@2" in after
    assert "joy@scripted" not in after
    assert "joy@scripted" in promoted(
        await client.post(f"{PATH}/rollback", json={"persona": "joy"})
    )


async def test_a_share_puts_a_version_on_trial_and_is_audited(
    responder: FakeResponder, capsys: pytest.CaptureFixture[str]
) -> None:
    client = operator(responder)
    reply = await client.post(f"{PATH}/promote", json={"name": "joy@2", "share": 0.1})
    assert "joy@scripted" in promoted(reply)
    shares = {one["name"]: one["share"] for one in reply.json() if one["persona"] == "joy"}
    assert shares == {"joy@scripted": 0.9, "joy@2": 0.1}
    [line] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "tried" in line]
    assert (line["subject"], line["tried"]) == ("joy@2", {"joy@2": 0.1})
    ended = await client.post(f"{PATH}/rollback", json={"persona": "joy"})
    assert {one["share"] for one in ended.json()} == {0, 1}


async def test_passes_on_the_folder_to_publish(responder: FakeResponder) -> None:
    reply = await operator(responder).post(PATH, json={"folder": "/adapters/joy"})
    assert responder.published == ["/adapters/joy"]
    problem = reply.json()
    assert (reply.status_code, problem["type"]) == (422, "urn:face-your-emotions:adapter-rejected")
    assert "no responder replica" in problem["detail"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (PATH, {}, "folder"),
        (PATH, {"folder": 5}, "folder"),
        (PATH, {"folder": "a", "force": True}, "force"),
        (f"{PATH}/promote", {"name": ""}, "name"),
        (f"{PATH}/promote", {"name": "x" * 129}, "name"),
        (f"{PATH}/promote", {"name": "joy@2", "share": 0}, "share"),
        (f"{PATH}/promote", {"name": "joy@2", "share": 1.1}, "share"),
        (f"{PATH}/rollback", {"persona": "Two words"}, "persona"),
    ],
)
async def test_rejects_an_invalid_body(
    responder: FakeResponder, path: str, body: dict[str, Any], field: str
) -> None:
    reply = await operator(responder).post(path, json=body)
    assert (reply.status_code, [row["field"] for row in reply.json()["errors"]]) == (422, [field])


@pytest.mark.parametrize("content_type", ["text/plain", ""])
async def test_ignores_bodies_that_any_web_page_could_send(
    responder: FakeResponder, content_type: str
) -> None:
    """A browser sends these to loopback without a preflight."""
    headers = {"content-type": content_type} if content_type else {}
    client = operator(responder)
    reply = await client.post(f"{PATH}/promote", content=b'{"name": "joy@2"}', headers=headers)
    assert 400 <= reply.status_code < 500
    assert "joy@2" not in responder.releases.aliases.values()


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/promote", {"name": "joy@2"}, ("promote", "joy@2", "ok")),
        ("/promote", {"name": "joy@3"}, ("promote", "joy@3", "adapter-rejected")),
        ("", {"folder": "/adapters/joy"}, ("publish", "/adapters/joy", "adapter-rejected")),
        ("/rollback", {"persona": "joy"}, ("rollback", "joy", "adapter-rejected")),
    ],
)
async def test_audits_who_changed_what_and_how_it_ended(
    responder: FakeResponder,
    capsys: pytest.CaptureFixture[str],
    path: str,
    body: dict[str, Any],
    expected: tuple[str, str, str],
) -> None:
    reply = await operator(responder).post(f"{PATH}{path}", json=body)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [line] = [line for line in lines if line["event"] == "admin"]
    assert (line["key"], line["x_request_id"]) == ("operator", reply.headers["x-request-id"])
    assert (line["action"], line["subject"], line["outcome"]) == expected
    assert ("joy@2" in line["promoted"]) is (expected[2] == "ok")
