"""API keys of the commands: `new-key`, that of FYE_KEY, and that of this machine's operator.

A server without configured keys is administrated with a key that `serve run` writes to the cache.
"""

import json
import os
import stat
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from models.weights.cache import cache_folder
from serve.api.auth import Key, Scope, new_secret, sha256_of
from serve.config import ServeConfig
from serve.errors import ConfigError

Name = Annotated[str, typer.Argument(help="name of the key's owner")]
Scopes = Annotated[list[Scope], typer.Option(help="can be repeated")]
DEFAULT_SCOPES = [Scope.RESPOND, Scope.DETECT]
KEY_VARIABLE = "FYE_KEY"
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def new_key(name: Name, scope: Scopes = DEFAULT_SCOPES) -> None:
    """Print a new API key, and the lines for the key file."""
    secret = new_secret()
    try:
        key = Key(name=name, sha256=sha256_of(secret), scopes=frozenset(scope))
    except ValidationError as error:
        raise typer.BadParameter(
            "expected at most 64 letters, digits, dots, underscores and hyphens", param_hint="name"
        ) from error
    typer.echo(f"# the key; it cannot be shown again: {secret}", err=True)
    scopes = json.dumps(list(dict.fromkeys(scope)))
    typer.echo(f'[[keys]]\nname = "{key.name}"\nsha256 = "{key.sha256}"\nscopes = {scopes}')


def given_key() -> str | None:
    """Return the key of FYE_KEY, None if it is not set.

    Raises:
        ConfigError: no header can hold the key.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"{KEY_VARIABLE} has a character that no API key has; copy the key again")
    return key or None


def admin_key_file() -> Path:
    """Return the file that holds the secret of this machine's operator."""
    return cache_folder() / "admin-key"


def with_admin_key(config: ServeConfig) -> ServeConfig:
    """Return a configuration whose server can be administrated, with a new key if there is none.

    Configured keys are left alone: then one of them needs the scope `admin`.

    Raises:
        ConfigError: the file cannot be written, or other users can read it.
    """
    keys = config.api_keys
    if keys.file or keys.variable or keys.admin_sha256:
        return config
    digest = sha256_of(read_admin_key() or _write_admin_key())
    return config.model_copy(update={"api_keys": keys.model_copy(update={"admin_sha256": digest})})


def read_admin_key() -> str | None:
    """Return the operator's secret, None if there is none.

    Raises:
        ConfigError: the file cannot be read, or other users can read it.
    """
    file = admin_key_file()
    try:
        found = file.stat()
        if found.st_mode & OTHERS or found.st_uid != os.getuid():
            raise ConfigError(f"{file} must be this user's and have mode 600; remove it")
        return file.read_text("utf-8").strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {file} ({type(error).__name__}); remove it") from error


def _write_admin_key() -> str:
    file = admin_key_file()
    secret = new_secret()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)  # an empty one
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(secret + "\n")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(
            f"cannot write {file}: {reason}; set FYE_CACHE to a folder that can be written"
        ) from error
    return secret
