"""Version, metrics and the documentation page."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from serve.api.auth import KeyRing, new_secret, sha256_of
from serve.api.ops import docs
from support.http_client import FakeResponder, http_client

ADMIN, READER = new_secret(), new_secret()


@pytest.fixture
def keys(tmp_path: Path) -> KeyRing:
    rows = [(ADMIN, "admin"), (READER, "respond")]
    (tmp_path / "keys.toml").write_text(
        "\n".join(
            f'[[keys]]\nname = "{scope}"\nsha256 = "{sha256_of(secret)}"\nscopes = ["{scope}"]'
            for secret, scope in rows
        )
    )
    return KeyRing(tmp_path / "keys.toml")


async def test_returns_the_version_of_the_distribution() -> None:
    reply = await http_client(FakeResponder()).get("/version")
    assert reply.json() == {"version": version("face-your-emotions")}


async def test_metrics_are_in_prometheus_format() -> None:
    reply = await http_client(FakeResponder()).get("/metrics")
    assert (reply.status_code, reply.text) == (200, "ray_fye_requests 1.0\n")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize(("secret", "status"), [(ADMIN, 200), (READER, 403), ("", 401)])
async def test_metrics_need_the_scope_admin_if_there_are_keys(
    keys: KeyRing, secret: str, status: int
) -> None:
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    reply = await http_client(FakeResponder(), keys=keys).get("/metrics", headers=headers)
    assert reply.status_code == status


async def test_the_documentation_needs_no_other_server() -> None:
    client = http_client(FakeResponder())
    page = (await client.get("/docs")).text
    assert re.findall(r"(?:https?:)?//[a-z]", page) == []
    for file in re.findall(r'(?:src|href)="(docs/[^"]+)"', page):
        assert len((await client.get(f"/{file}")).content) > 10_000
    assert page.count('"docs/') == 2


async def test_an_environment_without_vllm_has_no_page_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(docs, "find_spec", lambda _: None)
    reply = await http_client(FakeResponder()).get(f"/docs/{docs.SCRIPT}")
    assert (reply.status_code, reply.json()["type"]) == (503, "urn:face-your-emotions:not-ready")
