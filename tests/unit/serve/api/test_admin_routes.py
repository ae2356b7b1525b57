"""Administration of adapters: rights, and what is passed on."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from models.emotions import LABELS
from serve.adapters.registry import ControllerStatus, ReplicaReport, Version
from serve.api.auth import KeyRing, new_secret, sha256_of
from support.http_client import FakeResponder, http_client

PATH = "/v1/admin/adapters"
NEW = Version(name="joy@2", persona="joy")
Call = tuple[str, str, dict[str, Any] | None]
CALLS: dict[str, Call] = {
    "list": ("GET", PATH, None),
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


async def send(client: httpx.AsyncClient, call: Call, authorization: str = "") -> httpx.Response:
    method, path, body = call
    headers = {"authorization": authorization} if authorization else {}
    return await client.request(method, path, json=body, headers=headers)


@EVERY_CALL
async def test_needs_keys_beyond_loopback(responder: FakeResponder, call: Call) -> None:
    before = responder.releases
    reply = await send(http_client(responder, on_loopback=False), call)
    assert (reply.status_code, reply.json()["type"]) == (403, "urn:face-your-emotions:forbidden")
    assert "api_keys" in reply.json()["detail"]
    assert (responder.releases, responder.published) == (before, [])


@EVERY_CALL
@pytest.mark.parametrize("authorization", ["", "Bearer wrong"])
async def test_needs_a_known_key(
    responder: FakeResponder, tmp_path: Path, call: Call, authorization: str
) -> None:
    before = responder.releases
    client = http_client(responder, keys=key_ring(tmp_path, new_secret(), "admin"))
    assert (await send(client, call, authorization)).status_code == 401
    assert (responder.releases, responder.published) == (before, [])


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
        version["name"]: version for version in (await http_client(responder).get(PATH)).json()
    }
    assert list(found) == [*(f"{label}@scripted" for label in LABELS), "joy@2"]
    resident = {"replicas": 2, "persona": "joy"}
    assert found["joy@2"] == resident | {"name": "joy@2", "promoted": False, "resident": 1}
    assert found["joy@scripted"] == resident | {
        "name": "joy@scripted",
        "promoted": True,
        "resident": 2,
    }


async def test_promotes_and_rolls_back_by_name(responder: FakeResponder) -> None:
    client = http_client(responder)
    after = promoted(await client.post(f"{PATH}/promote", json={"name": "joy@2"}))
    assert "joy@2" in after
    assert "joy@scripted" not in after
    assert "joy@scripted" in promoted(
        await client.post(f"{PATH}/rollback", json={"persona": "joy"})
    )


async def test_passes_on_the_folder_to_publish(responder: FakeResponder) -> None:
    reply = await http_client(responder).post(PATH, json={"folder": "/adapters/joy"})
    assert responder.published == ["/adapters/joy"]
    problem = reply.json()
    assert (reply.status_code, problem["type"]) == (422, "urn:face-your-emotions:adapter-refused")
    assert "no responder replica" in problem["detail"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (PATH, {}, "folder"),
        (PATH, {"folder": 5}, "folder"),
        (PATH, {"folder": "a", "force": True}, "force"),
        (f"{PATH}/promote", {"name": ""}, "name"),
        (f"{PATH}/promote", {"name": "x" * 129}, "name"),
        (f"{PATH}/rollback", {"persona": "Two words"}, "persona"),
    ],
)
async def test_rejects_an_invalid_body(
    responder: FakeResponder, path: str, body: dict[str, Any], field: str
) -> None:
    reply = await http_client(responder).post(path, json=body)
    assert (reply.status_code, [row["field"] for row in reply.json()["errors"]]) == (422, [field])


@pytest.mark.parametrize("content_type", ["text/plain", ""])
async def test_ignores_bodies_that_any_web_page_could_send(
    responder: FakeResponder, content_type: str
) -> None:
    """A browser sends these to loopback without a preflight."""
    headers = {"content-type": content_type} if content_type else {}
    client = http_client(responder)
    reply = await client.post(f"{PATH}/promote", content=b'{"name": "joy@2"}', headers=headers)
    assert 400 <= reply.status_code < 500
    assert "joy@2" not in responder.releases.aliases.values()
