"""Who may ask for what: API keys, of which only the hash is kept. It does not know of HTTP.

The file is TOML, one `[[keys]]` table a key, as `python -m serve new-key` prints it. It is read again when it changes.
"""

import hashlib
import hmac
import ipaddress
import os
import secrets
import time
import tomllib
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serve.config import KeysConfig
from serve.errors import ConfigError, Forbidden, Unauthenticated

PREFIX = "fye-"
LOOK_EVERY_S = 2


class Scope(StrEnum):
    RESPOND = "respond"
    DETECT = "detect"
    ADMIN = "admin"


class Key(BaseModel):
    """What a key allows. Limits hold for each ingress replica by itself; none: no limit but the server's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    scopes: frozenset[Scope]
    concurrent: int | None = Field(default=None, ge=1, description="requests at once")
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1, description="that answers may have, whether they do or not")


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[Key, ...] = Field(min_length=1)


class KeyRing:
    """The keys of a file, or of an environment variable. A key that is taken out of the file opens nothing a few seconds later."""

    def __init__(self, source: Path | str) -> None:
        self._source, self._looked_s = source, time.monotonic()
        self._changed_ns, self._keys = self._read()

    def find(self, secret: str, scope: Scope) -> Key:
        """The key with that secret. Raises Unauthenticated or Forbidden. Takes as long for a wrong one as for a right one."""
        self._look_again()
        found, given = None, sha256_of(secret)
        for key in self._keys:
            if hmac.compare_digest(key.sha256, given):
                found = key
        if found is None:
            raise Unauthenticated("send a valid API key: authorization: Bearer ...")
        if scope not in found.scopes:
            raise Forbidden(f"this key does not allow {scope}")
        return found

    def _look_again(self) -> None:
        """A file that has become unreadable changes nothing: better the keys of before than nobody."""
        if time.monotonic() - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = time.monotonic()
        try:
            if isinstance(self._source, Path) and self._source.stat().st_mtime_ns != self._changed_ns:
                self._changed_ns, self._keys = self._read()
        except (OSError, ConfigError):
            return

    def _read(self) -> tuple[int, tuple[Key, ...]]:
        """When the file changed, and what it holds. Raises ConfigError without repeating anything of it."""
        try:
            if isinstance(self._source, Path):
                changed_ns, text = self._source.stat().st_mtime_ns, self._source.read_text("utf-8")
            else:
                changed_ns, text = 0, os.environ[self._source]
            return changed_ns, _File.model_validate(tomllib.loads(text)).keys
        except (OSError, KeyError, ValueError, ValidationError) as error:
            raise ConfigError(f"{self._source} holds no keys that can be read ({type(error).__name__})") from None


def open_keys(config: KeysConfig, host: str) -> KeyRing | None:
    """The keys, or none. Raises ConfigError if there are none and the server listens beyond loopback."""
    source = config.file or config.variable
    if source is None and not config.unneeded and not is_loopback(host):
        raise ConfigError(f"{host} can be reached from outside, and there are no API keys: set api_keys.file, or api_keys.unneeded")
    return KeyRing(source) if source else None


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def sha256_of(secret: str) -> str:
    """Secrets are 256 bits of chance, so a fast hash keeps them as well as a slow one would."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(32)
