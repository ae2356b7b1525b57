"""API keys. Only their hashes are kept. This module does not know HTTP.

The key file is TOML with one `[[keys]]` table a key, as `python -m serve new-key` prints it. It is
read again when it changes. While it cannot be read, or holds no key, every key is rejected.
"""

import hashlib
import hmac
import ipaddress
import logging
import os
import re
import secrets
import time
import tomllib
from enum import StrEnum
from pathlib import Path

from pydantic import Field, ValidationError

from models.schema import FrozenModel
from serve.config import KeysConfig
from serve.errors import ConfigError, Forbidden, Unauthenticated
from serve.pipeline.quota import KeyLimits

PREFIX = "fye-"
RELOAD_INTERVAL_S = 2
TOML_PLACE = re.compile(r"at (line \d+, column \d+|end of document)")
log = logging.getLogger(__name__)
FileState = tuple[int, int, int]  # time of the last change of its status in ns, size, inode


class Scope(StrEnum):
    """Right of a key."""

    RESPOND = "respond"
    DETECT = "detect"
    ADMIN = "admin"


class Key(FrozenModel):
    """A key's rights and limits. Limits hold for each responder replica; None is unlimited."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    scopes: frozenset[Scope]
    concurrent: int | None = Field(default=None, ge=1, description="concurrent requests")
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(
        default=None, ge=1, description="counted as max_tokens, whether they are generated or not"
    )

    @property
    def limits(self) -> KeyLimits:
        """Limits without the secret's hash."""
        return KeyLimits(
            self.name, self.concurrent, self.requests_per_minute, self.tokens_per_minute
        )


class _File(FrozenModel):
    keys: tuple[Key, ...] = Field(min_length=1)


class Keys:
    """Keys that never change."""

    def __init__(self, *keys: Key) -> None:
        """Accept these keys."""
        self._keys = keys

    def find(self, secret: str, scope: Scope) -> Key:
        """Return the key with that secret, in the same time for a right and a wrong one.

        Raises:
            Unauthenticated: there is no such key.
            Forbidden: the key does not have the scope.
        """
        self._reload_if_changed()
        found = None
        digest = sha256_of(secret)
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        if found is None:
            raise Unauthenticated("send a valid API key: authorization: Bearer ...")
        if scope not in found.scopes:
            raise Forbidden(f"this key does not have the scope {scope}")
        return found

    def _reload_if_changed(self) -> None:
        """Do nothing."""


class KeyRing(Keys):
    """Keys of a file or of an environment variable.

    A key that is removed from the file stops working a few seconds later. So do all keys if the
    file is emptied, damaged or removed.
    """

    def __init__(self, source: Path | str) -> None:
        """Read the keys. Raises ConfigError."""
        self._source = source
        self._checked_s = time.monotonic()
        self._state = _state_of(source)
        super().__init__(*_read(source))

    def _reload_if_changed(self) -> None:
        """Read the file again if it has changed. Without a valid file there are no keys."""
        if time.monotonic() - self._checked_s < RELOAD_INTERVAL_S:
            return
        self._checked_s = time.monotonic()
        state = _state_of(self._source)
        if state == self._state:
            return
        self._state = state
        try:
            self._keys = _read(self._source)
            log.warning("API keys: read %d keys from %s", len(self._keys), self._source)
        except ConfigError as error:
            self._keys = ()
            log.error("%s; every key is rejected until it can be read", error)


def _state_of(source: Path | str) -> FileState | None:
    """Return what changes with the file; None for a variable or a file that is not there."""
    if isinstance(source, str):
        return None
    try:
        found = source.stat()
    except OSError:
        return None
    return found.st_ctime_ns, found.st_size, found.st_ino


def _read(source: Path | str) -> tuple[Key, ...]:
    """Return the keys. Raises ConfigError, which repeats nothing of them."""
    try:
        text = source.read_text("utf-8") if isinstance(source, Path) else os.environ[source]
        return _File.model_validate(tomllib.loads(text)).keys
    except ValidationError as error:
        raise ConfigError(f"invalid API keys in {source}: {_first_problem(error)}") from None
    except tomllib.TOMLDecodeError as error:
        where = TOML_PLACE.search(str(error))
        place = where[0] if where else "an unknown place"
        raise ConfigError(f"invalid API keys in {source}: not TOML {place}") from None
    except (OSError, KeyError, ValueError) as error:
        kind = type(error).__name__
        raise ConfigError(f"cannot read API keys from {source} ({kind})") from None


def _first_problem(error: ValidationError) -> str:
    """Return which entry and field is invalid and why, without a name or value of the file."""
    found = error.errors()[0]
    location = found["loc"]
    entry = [f"entry {part + 1}" for part in location[1:2] if isinstance(part, int)]
    field = [f"field {part}" for part in location[2:3] if part in Key.model_fields]
    return f"{', '.join(entry + field) or 'the file'}: {found['msg']}"


def open_keys(config: KeysConfig, host: str) -> KeyRing | None:
    """Return the keys, or None if none are configured.

    Raises:
        ConfigError: there are none and the server listens beyond loopback.
    """
    source = config.file or config.variable
    if source is None and not config.unneeded and not is_loopback(host):
        raise ConfigError(
            f"{host} is reachable from other machines and no API keys are configured: "
            "set api_keys.file, or api_keys.unneeded behind an authenticating gateway"
        )
    return KeyRing(source) if source else None


def open_admin_keys(config: KeysConfig, keys: KeyRing | None) -> Keys | None:
    """Return the keys that may administrate: `keys`, or without them the one of `admin_sha256`.

    None if there is neither: then no key may.
    """
    if keys is not None or config.admin_sha256 is None:
        return keys
    scopes = frozenset({Scope.ADMIN})
    return Keys(Key(name="local-admin", sha256=config.admin_sha256, scopes=scopes))


def is_loopback(host: str) -> bool:
    """Return whether `host` is a loopback address or `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def sha256_of(secret: str) -> str:
    """Return the hash of a secret.

    A secret has 256 random bits, so a fast hash is as safe as a slow one.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


def new_secret() -> str:
    """Return a new random secret."""
    return PREFIX + secrets.token_urlsafe(32)
