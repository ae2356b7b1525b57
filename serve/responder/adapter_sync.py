"""Reconciliation of one responder replica with the adapter controller.

It loads the adapter versions that are published, after validation, and switches to the promoted
ones. Its next report tells the controller what came of it.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Set
from contextlib import contextmanager

from models.errors import ArtifactError, FyeError
from models.manifest import AdapterManifest, load_adapter
from models.prompt import PROMPT_VERSION
from serve.adapters.registry import SYNC_INTERVAL_S, Releases, ReplicaReport, Version
from serve.adapters.validation import admit
from serve.responder.runtime import Runtime

log = logging.getLogger(__name__)
Sync = Callable[[ReplicaReport], Awaitable[Releases]]


class AdapterSync:
    """Adapter versions of one replica.

    Attributes:
        aliases: promoted version by persona. It is replaced as a whole, between two requests.
    """

    def __init__(self, runtime: Runtime, replica: str, sync: Sync) -> None:
        """Reconcile `replica` by calling `sync` of the adapter controller."""
        self._runtime = runtime
        self._replica = replica
        self._sync = sync
        self._desired: Releases | None = None
        self._rejected: dict[str, str] = {}
        self._in_use: Counter[str | None] = Counter()
        self.aliases: dict[str, str] = runtime.aliases

    @contextmanager
    def using(self, adapter: str | None) -> Iterator[None]:
        """Keep an adapter resident until the block ends, even if it is withdrawn meanwhile."""
        self._in_use[adapter] += 1
        try:
            yield
        finally:
            self._in_use[adapter] -= 1

    async def run(self) -> None:
        """Reconcile until cancelled. Without the controller everything stays as it is."""
        while True:
            await asyncio.sleep(SYNC_INTERVAL_S)
            try:
                await self.step()
            except Exception as error:  # noqa: BLE001 (the controller may be restarting)
                log.warning("no reply from the adapter controller: %s", type(error).__name__)

    async def step(self) -> None:
        """Report to the controller once and apply its desired state."""
        desired = await self._sync(self._report())
        self._desired = desired
        wanted = {version.name: version for version in desired.versions}
        self._rejected = {name: why for name, why in self._rejected.items() if name in wanted}
        await self._unload_all_but(wanted.keys())
        for name in wanted.keys() - self._resident() - self._rejected.keys():
            await self._load(wanted[name])
        if set(desired.aliases.values()) <= self._resident():
            self.aliases = desired.aliases
            await self._unload_all_but(wanted.keys())

    async def _unload_all_but(self, wanted: Set[str]) -> None:
        """Unload what is neither wanted nor in use. A promoted version answers, so it stays."""
        for name in self._resident() - wanted - set(self.aliases.values()):
            if not self._in_use[name]:
                await self._runtime.engine.unload(name)

    async def _load(self, version: Version) -> None:
        if version.folder is None:
            self._rejected[version.name] = f"{version.name} has no folder to load it from"
            return
        try:
            # The controller has compared this hash with the base weights.
            base_hash = AdapterManifest.read(version.folder).base_hash
            adapter = load_adapter(version.folder, base_hash, PROMPT_VERSION)
            found = adapter.manifest.versioned_name
            if found != version.name:
                raise ArtifactError(f"{version.folder} now holds {found}, not {version.name}")
            runtime = self._runtime
            await admit(runtime.engine, runtime.encoder, adapter, runtime.limits.max_lora_rank)
        except FyeError as error:
            self._rejected[version.name] = str(error)

    def _report(self) -> ReplicaReport:
        return ReplicaReport(
            self._replica, self._resident(), dict(self._rejected), self.aliases, self._desired
        )

    def _resident(self) -> frozenset[str]:
        return frozenset(self._runtime.engine.stats().adapters)
