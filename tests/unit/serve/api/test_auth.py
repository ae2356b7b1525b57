"""API keys: scopes, sources, reloading, and the refusal to listen beyond loopback without keys."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from typer.testing import CliRunner

from serve.__main__ import app
from serve.api import auth
from serve.api.auth import (
    Key,
    KeyRing,
    Scope,
    is_loopback,
    new_secret,
    open_admin_keys,
    open_keys,
    sha256_of,
)
from serve.config import KeysConfig
from serve.errors import ConfigError, Forbidden, Unauthenticated
from serve.pipeline.quota import KeyLimits

SECRET = new_secret()
OTHER = new_secret()
EVERYWHERE = "0.0.0.0"  # noqa: S104 (nothing is bound)


def entry(
    secret: str, name: str = "app", scopes: str = '"respond", "detect"', more: str = ""
) -> str:
    return (
        f'[[keys]]\nname = "{name}"\nsha256 = "{sha256_of(secret)}"\nscopes = [{scopes}]\n{more}\n'
    )


def write(file: Path, text: str) -> None:
    """Write a file whose change is visible however coarse the file system's clock is."""
    before_ns = file.stat().st_mtime_ns if file.exists() else 0
    file.write_text(text, "utf-8")
    os.utime(file, ns=(before_ns + 10**9, before_ns + 10**9))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write(tmp_path / "keys.toml", entry(SECRET) + entry(OTHER, "reader", '"detect"'))
    return tmp_path / "keys.toml"


def test_key_has_the_scopes_of_the_file(file: Path) -> None:
    ring = KeyRing(file)
    assert ring.find(SECRET, Scope.RESPOND).name == "app"
    assert ring.find(OTHER, Scope.DETECT).name == "reader"
    with pytest.raises(Forbidden, match="respond"):
        ring.find(OTHER, Scope.RESPOND)
    with pytest.raises(Forbidden, match="admin"):
        ring.find(SECRET, Scope.ADMIN)


@given(st.text(max_size=60))
def test_rejects_any_other_secret(tmp_path_factory: pytest.TempPathFactory, secret: str) -> None:
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    write(file, entry(SECRET))
    with pytest.raises(Unauthenticated):
        KeyRing(file).find(secret, Scope.DETECT)


def test_rejects_the_hash_of_a_secret(file: Path) -> None:
    with pytest.raises(Unauthenticated):
        KeyRing(file).find(sha256_of(SECRET), Scope.DETECT)


def test_reads_a_changed_file_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "RELOAD_INTERVAL_S", 0)
    ring = KeyRing(file)
    write(file, entry(OTHER, "new"))
    assert ring.find(OTHER, Scope.RESPOND).name == "new"
    with pytest.raises(Unauthenticated):
        ring.find(SECRET, Scope.RESPOND)


def test_does_not_look_at_the_file_for_every_request(file: Path) -> None:
    ring = KeyRing(file)
    write(file, entry(OTHER, "new"))
    assert ring.find(SECRET, Scope.RESPOND).name == "app"


@pytest.mark.parametrize(
    "break_file",
    [
        Path.unlink,
        lambda file: write(file, "[[keys]\n"),
        lambda file: write(file, "keys = []"),
        lambda file: write(file, ""),
    ],
    ids=["removed", "malformed", "no keys", "emptied"],
)
def test_rejects_every_key_while_the_file_has_none(
    file: Path,
    break_file: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(auth, "RELOAD_INTERVAL_S", 0)
    ring = KeyRing(file)
    break_file(file)
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            ring.find(SECRET, Scope.RESPOND)
    errors = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    assert str(file) in errors[0]
    assert "every key is rejected" in errors[0]
    write(file, entry(SECRET))
    assert ring.find(SECRET, Scope.RESPOND).name == "app"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (entry(OTHER, "Alice B"), "entry 2, field name:"),
        (entry(OTHER, scopes='"reply"'), "entry 2, field scopes:"),
        (entry(OTHER, more="limit = 3"), "entry 2: Extra"),
        (entry(OTHER).replace(sha256_of(OTHER), "A" + sha256_of(OTHER)[1:]), "entry 2, field sha"),
        ("[[keys]]\nname = Alice", "line "),
    ],
)
def test_a_bad_entry_is_named_in_the_log_without_its_values(
    file: Path,
    text: str,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(auth, "RELOAD_INTERVAL_S", 0)
    ring = KeyRing(file)
    write(file, entry(SECRET) + text)
    with pytest.raises(Unauthenticated):
        ring.find(SECRET, Scope.RESPOND)
    [error] = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert place in error
    for value in ("Alice", "reply", "limit", sha256_of(OTHER)[1:]):
        assert value not in error


def test_a_replaced_file_is_seen_whatever_its_modification_time(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "RELOAD_INTERVAL_S", 0)
    ring = KeyRing(file)
    new = tmp_path / "new.toml"
    new.write_text(entry(OTHER, "new"), "utf-8")
    before_ns = file.stat().st_mtime_ns
    os.utime(new, ns=(before_ns, before_ns))
    new.replace(file)
    with pytest.raises(Unauthenticated):
        ring.find(SECRET, Scope.RESPOND)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "keys = []",
        entry("a").replace('"respond"', '"everything"'),
        entry("a", more="limit = 3"),
        entry("a", more="concurrent = 0"),
        entry("a", name="two words"),
        "\0",
    ],
)
def test_rejects_an_invalid_file_without_repeating_it(tmp_path: Path, text: str) -> None:
    write(tmp_path / "keys.toml", text)
    with pytest.raises(ConfigError, match=r"keys\.toml") as found:
        KeyRing(tmp_path / "keys.toml")
    assert sha256_of("a") not in str(found.value)
    assert found.value.__cause__ is None


def test_rejects_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="FileNotFoundError"):
        KeyRing(tmp_path / "keys.toml")


def test_reads_keys_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEYS", entry(SECRET))
    ring = open_keys(KeysConfig(variable="SOME_KEYS"), EVERYWHERE)
    assert ring is not None
    assert ring.find(SECRET, Scope.RESPOND).name == "app"


def test_refuses_two_sources_of_keys(file: Path) -> None:
    with pytest.raises(ValidationError, match="remove one of them"):
        KeysConfig(file=file, variable="SOME_KEYS")


def test_rejects_an_unset_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEYS", raising=False)
    with pytest.raises(ConfigError, match="SOME_KEYS"):
        open_keys(KeysConfig(variable="SOME_KEYS"), EVERYWHERE)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_loopback_needs_no_keys(host: str) -> None:
    assert is_loopback(host)
    assert open_keys(KeysConfig(), host) is None


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "10.0.0.5", "example.org"])
def test_other_hosts_need_keys_or_a_gateway(host: str, file: Path) -> None:
    assert not is_loopback(host)
    with pytest.raises(ConfigError, match="no API keys"):
        open_keys(KeysConfig(), host)
    assert open_keys(KeysConfig(file=file), host) is not None
    assert open_keys(KeysConfig(unneeded=True), host) is None


def test_administration_uses_the_configured_keys_or_the_operators(file: Path) -> None:
    ring = KeyRing(file)
    config = KeysConfig(file=file, admin_sha256=sha256_of(OTHER))
    assert open_admin_keys(config, ring) is ring
    fixed = open_admin_keys(KeysConfig(admin_sha256=sha256_of(OTHER)), None)
    assert fixed is not None
    assert fixed.find(OTHER, Scope.ADMIN).name == "local-admin"
    with pytest.raises(Unauthenticated):
        fixed.find(SECRET, Scope.ADMIN)
    assert open_admin_keys(KeysConfig(), None) is None


def test_a_keys_limits_do_not_hold_its_hash() -> None:
    key = Key(name="app", sha256=sha256_of(SECRET), scopes=frozenset({Scope.RESPOND}), concurrent=2)
    assert key.limits == KeyLimits("app", concurrent=2)


def test_new_key_prints_a_table_for_the_file(tmp_path: Path) -> None:
    made = CliRunner().invoke(app, ["new-key", "somebody", "--scope", "admin"])
    secret = made.stderr.split(": ")[1].strip()
    write(tmp_path / "keys.toml", made.stdout)
    assert KeyRing(tmp_path / "keys.toml").find(secret, Scope.ADMIN).name == "somebody"
    assert secret not in made.stdout


def test_secrets_are_new_each_time() -> None:
    assert new_secret() != new_secret()
    assert new_secret().startswith("fye-")
