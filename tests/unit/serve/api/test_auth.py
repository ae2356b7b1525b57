"""API keys: who comes in, with what, how much of it; and that a server which can be reached from outside has some."""

import os
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from models.errors import CatalogError
from serve.__main__ import app
from serve.api import auth as keys_module
from serve.api.auth import Key, KeyRing, Scope, new_secret, open_keys, sha256_of
from serve.config import KeysConfig
from serve.errors import Forbidden, RateLimited, Unauthenticated
from serve.pipeline.quota import Quota
from support.http_client import FakeIngress, http_client

SECRET, OTHER = new_secret(), new_secret()
CHAT = {"messages": [{"role": "user", "content": "hello"}]}


def line(secret: str, name: str = "app", scopes: str = '"respond", "detect"', more: str = "") -> str:
    return f'[[keys]]\nname = "{name}"\nsha256 = "{sha256_of(secret)}"\nscopes = [{scopes}]\n{more}\n'


def write(file: Path, text: str) -> None:
    """A change that is seen, however coarse the clock of the file system is."""
    before_ns = file.stat().st_mtime_ns if file.exists() else 0
    file.write_text(text, "utf-8")
    os.utime(file, ns=(before_ns + 10**9, before_ns + 10**9))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write(tmp_path / "keys.toml", line(SECRET) + line(OTHER, "reader", '"detect"'))
    return tmp_path / "keys.toml"


def test_a_key_opens_what_its_scopes_say(file: Path) -> None:
    ring = KeyRing(file)
    assert ring.find(SECRET, Scope.RESPOND).name == "app"
    assert ring.find(OTHER, Scope.DETECT).name == "reader"
    with pytest.raises(Forbidden, match="respond"):
        ring.find(OTHER, Scope.RESPOND)
    with pytest.raises(Forbidden, match="admin"):
        ring.find(SECRET, Scope.ADMIN)


@given(st.text(max_size=60))
def test_nothing_else_opens_anything(tmp_path_factory: pytest.TempPathFactory, secret: str) -> None:
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    write(file, line(SECRET))
    with pytest.raises(Unauthenticated):
        KeyRing(file).find(secret, Scope.DETECT)


def test_the_file_holds_no_secret(file: Path) -> None:
    assert SECRET not in file.read_text("utf-8")


def test_a_changed_file_holds_without_a_restart(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "LOOK_EVERY_S", 0)
    ring = KeyRing(file)
    write(file, line(OTHER, "new"))
    assert ring.find(OTHER, Scope.RESPOND).name == "new"
    with pytest.raises(Unauthenticated):
        ring.find(SECRET, Scope.RESPOND)


@pytest.mark.parametrize("spoil", [Path.unlink, lambda file: write(file, "[[keys]\n")])
def test_a_file_that_is_spoilt_later_changes_nothing(file: Path, spoil: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "LOOK_EVERY_S", 0)
    ring = KeyRing(file)
    spoil(file)
    assert ring.find(SECRET, Scope.RESPOND).name == "app"


@pytest.mark.parametrize("text", ["", "keys = []", line("a").replace('"respond"', '"everything"'), line("a", more="limit = 3"), "\0"])
def test_a_file_that_is_none_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    write(tmp_path / "keys.toml", text)
    with pytest.raises(CatalogError) as found:
        KeyRing(tmp_path / "keys.toml")
    assert sha256_of("a") not in str(found.value)


def test_keys_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEYS", line(SECRET))
    ring = open_keys(KeysConfig(variable="SOME_KEYS"), "0.0.0.0")  # noqa: S104 (nothing is bound)
    assert ring is not None
    assert ring.find(SECRET, Scope.RESPOND).name == "app"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_on_loopback_there_may_be_none(host: str) -> None:
    assert open_keys(KeysConfig(), host) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "example.org"])  # noqa: S104 (nothing is bound)
def test_beyond_loopback_there_must_be_some_or_somebody_in_front(host: str, file: Path) -> None:
    with pytest.raises(CatalogError, match="no API keys"):
        open_keys(KeysConfig(), host)
    assert open_keys(KeysConfig(file=file), host) is not None
    assert open_keys(KeysConfig(unneeded=True), host) is None


async def post(ring: KeyRing, path: str, secret: str | None) -> httpx.Response:
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    body = CHAT if path.endswith("completions") else {"text": "hello"}
    return await http_client(FakeIngress(), keys=ring).post(path, json=body, headers=headers)


@pytest.mark.parametrize("path", ["/v1/respond", "/v1/detect", "/v1/chat/completions"])
async def test_every_path_that_works_asks_for_a_key(file: Path, path: str) -> None:
    ring = KeyRing(file)
    missing, wrong, right = [await post(ring, path, secret) for secret in (None, "fye-wrong", SECRET)]
    assert [reply.status_code for reply in (missing, wrong, right)] == [401, 401, 200]
    assert missing.headers["www-authenticate"] == "Bearer"
    assert (await post(ring, path, OTHER)).status_code == (200 if path == "/v1/detect" else 403)


@pytest.mark.parametrize("path", ["", "/promote", "/rollback"])
async def test_releases_beyond_loopback_need_a_key_even_where_answers_need_none(path: str) -> None:
    client = http_client(FakeIngress(), on_loopback=False)
    reply = await client.request("POST" if path else "GET", f"/v1/admin/adapters{path}", json={"name": "joy@1", "persona": "joy"})
    assert (reply.status_code, reply.json()["type"]) == (403, "urn:face-your-emotions:forbidden")
    assert "this server has no keys" in reply.json()["detail"]
    assert (await client.post("/v1/respond", json={"text": "hello"})).status_code == 200
    assert (await http_client(FakeIngress()).get("/v1/admin/adapters")).status_code == 200


async def test_life_and_readiness_need_none(file: Path) -> None:
    client = http_client(FakeIngress(), keys=KeyRing(file))
    assert [(await client.get(path)).status_code for path in ("/healthz", "/readyz", "/v1/personas")] == [200, 200, 200]


def test_a_new_key_can_be_put_into_the_file(tmp_path: Path) -> None:
    made = CliRunner().invoke(app, ["new-key", "somebody", "--scope", "admin"])
    secret = made.stderr.split(": ")[1].strip()
    write(tmp_path / "keys.toml", made.stdout)
    assert KeyRing(tmp_path / "keys.toml").find(secret, Scope.ADMIN).name == "somebody"
    assert secret not in made.stdout


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def key(**limits: int) -> Key:
    return Key.model_validate({"name": "app", "sha256": sha256_of(SECRET), "scopes": [Scope.RESPOND], **limits})


def used(quota: Quota, who: Key, tokens: int = 10, times: int = 1) -> None:
    for _ in range(times):
        with quota.enter(who, tokens):
            pass


def test_answers_at_once_are_bounded_for_each_key_by_itself() -> None:
    quota, one, two = Quota(), key(concurrent=2), key(concurrent=1)
    with quota.enter(one, 1), quota.enter(one, 1), quota.enter(two, 1), pytest.raises(RateLimited, match="2 requests at once"):
        used(quota, one)
    used(quota, one, times=5)


def test_requests_of_a_minute_come_back_one_by_one() -> None:
    clock = Clock()
    quota, who = Quota(clock), key(requests_per_minute=30)
    used(quota, who, times=30)
    with pytest.raises(RateLimited) as found:
        used(quota, who)
    assert found.value.retry_after_s == 2
    clock.now_s = 2
    used(quota, who)
    with pytest.raises(RateLimited):
        used(quota, who)


def test_tokens_of_a_minute_are_counted_as_asked_for() -> None:
    clock = Clock()
    quota, who = Quota(clock), key(tokens_per_minute=100, requests_per_minute=9)
    used(quota, who, tokens=90)
    with pytest.raises(RateLimited) as found:
        used(quota, who, tokens=20)
    assert found.value.retry_after_s == 6
    used(quota, who, tokens=10)
    with pytest.raises(RateLimited, match="never"):
        used(quota, who, tokens=101)


def test_a_refusal_uses_up_nothing() -> None:
    quota, who = Quota(Clock()), key(tokens_per_minute=100, requests_per_minute=2)
    for _ in range(5):
        with pytest.raises(RateLimited):
            used(quota, who, tokens=101)
    used(quota, who, times=2)


def test_without_a_key_there_is_no_limit() -> None:
    quota = Quota()
    for _ in range(100):
        with quota.enter(None, 10**6):
            pass
