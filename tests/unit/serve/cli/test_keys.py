"""Command that creates API keys."""

import tomllib

from typer.testing import CliRunner

from serve.__main__ import app
from serve.api.auth import sha256_of


def test_prints_the_key_once_and_its_hash_for_the_key_file() -> None:
    done = CliRunner().invoke(app, ["new-key", "mobile app", "--scope", "detect"])
    assert done.exit_code == 0
    secret = done.stderr.split()[-1]
    [key] = tomllib.loads(done.stdout)["keys"]
    assert key == {"name": "mobile app", "sha256": sha256_of(secret), "scopes": ["detect"]}
    assert secret not in done.stdout
