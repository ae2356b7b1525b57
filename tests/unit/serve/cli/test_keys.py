"""API keys of the commands: new ones, and that of this machine's operator."""

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serve.__main__ import app
from serve.api.auth import sha256_of
from serve.cli.keys import read_admin_key, with_admin_key
from serve.config import KeysConfig, ServeConfig
from serve.errors import ConfigError


def test_prints_the_key_once_and_its_hash_for_the_key_file() -> None:
    done = CliRunner().invoke(app, ["new-key", "mobile-app", "--scope", "detect"])
    assert done.exit_code == 0
    secret = done.stderr.split()[-1]
    [key] = tomllib.loads(done.stdout)["keys"]
    assert key == {"name": "mobile-app", "sha256": sha256_of(secret), "scopes": ["detect"]}
    assert secret not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [(["Alice B"], "letters, digits"), (["alice", "--scope", "reply"], "admin"), (['a"b'], "name")],
)
def test_refuses_a_key_that_the_server_would_reject(arguments: list[str], phrase: str) -> None:
    done = CliRunner().invoke(app, ["new-key", *arguments])
    assert (done.exit_code, done.stdout) == (2, "")
    assert phrase in done.stderr


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FYE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_server_without_keys_gets_one_for_its_operator(cache: Path) -> None:
    first, again = with_admin_key(ServeConfig()), with_admin_key(ServeConfig())
    secret = read_admin_key()
    assert secret is not None
    assert first.api_keys.admin_sha256 == again.api_keys.admin_sha256 == sha256_of(secret)
    assert (cache / "admin-key").stat().st_mode & 0o777 == 0o600
    assert secret not in first.model_dump_json()


@pytest.mark.parametrize(
    "keys",
    [
        KeysConfig(file=Path("keys.toml")),
        KeysConfig(variable="K"),
        KeysConfig(admin_sha256="a" * 64),
    ],
)
def test_configured_keys_are_left_alone(cache: Path, keys: KeysConfig) -> None:
    config = ServeConfig(api_keys=keys)
    assert with_admin_key(config) is config
    assert not cache.exists()


def test_a_key_that_others_can_read_is_not_used(cache: Path) -> None:
    with_admin_key(ServeConfig())
    (cache / "admin-key").chmod(0o640)
    with pytest.raises(ConfigError, match="600"):
        with_admin_key(ServeConfig())


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FYE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ConfigError, match="FYE_CACHE"):
        with_admin_key(ServeConfig())
