"""Keeps one responder replica in line with the directory: loads what is published, behind the gate, and answers as what is promoted."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from models.errors import ArtifactError, FyeError
from models.manifest import AdapterManifest, load_adapter
from models.prompt import PROMPT_VERSION
from serve.adapters.controller import SYNC_S, Report
from serve.adapters.registry import Releases, Version
from serve.responder.runtime import Backend, admit

log = logging.getLogger(__name__)
Sync = Callable[[Report], Awaitable[Releases]]


class Follower:
    """`aliases` say which version answers as whom; they change in one step, between two answers."""

    def __init__(self, backend: Backend, replica: str, sync: Sync) -> None:
        self._backend, self._replica, self._sync = backend, replica, sync
        self._told: Releases | None = None
        self._refused: dict[str, str] = {}
        self._in_use: Counter[str | None] = Counter()
        self.aliases: dict[str, str] = backend.aliases

    @contextmanager
    def using(self, adapter: str | None) -> Iterator[None]:
        """An adapter that an answer uses stays resident, whatever the directory says."""
        self._in_use[adapter] += 1
        try:
            yield
        finally:
            self._in_use[adapter] -= 1

    async def run(self) -> None:
        """Follows until it is cancelled. A directory that does not answer changes nothing."""
        while True:
            await asyncio.sleep(SYNC_S)
            try:
                await self.step()
            except Exception as error:  # noqa: BLE001 (the directory may be restarting; this replica goes on as it is)
                log.warning("the directory did not answer: %s", type(error).__name__)

    async def step(self) -> None:
        """Asks once, and does what it is told; the next report says what has come of it."""
        releases = self._told = await self._sync(self._report())
        wanted = {version.name: version for version in releases.versions}
        self._refused = {name: reason for name, reason in self._refused.items() if name in wanted}
        for name in self._resident() - wanted.keys():
            if not self._in_use[name]:
                await self._backend.engine.unload(name)
        for name in wanted.keys() - self._resident() - self._refused.keys():
            await self._take(wanted[name])
        if set(releases.aliases.values()) <= self._resident():
            self.aliases = releases.aliases

    async def _take(self, version: Version) -> None:
        if version.folder is None:
            self._refused[version.name] = f"{version.name} has no folder to load it from"
            return
        try:
            base_hash = AdapterManifest.read(version.folder).base_hash  # the directory has compared it with the base
            adapter = load_adapter(version.folder, base_hash, PROMPT_VERSION)
            if adapter.manifest.versioned_name != version.name:
                raise ArtifactError(f"{version.folder} holds {adapter.manifest.versioned_name} by now, not {version.name}")
            await admit(self._backend.engine, self._backend.encoder, adapter, self._backend.limits.max_lora_rank)
        except FyeError as error:
            self._refused[version.name] = str(error)

    def _report(self) -> Report:
        return Report(self._replica, self._resident(), dict(self._refused), self.aliases, self._told)

    def _resident(self) -> frozenset[str]:
        return frozenset(self._backend.engine.stats().adapters)
