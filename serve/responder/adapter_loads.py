"""Loads of adapter versions into the engine of one replica: one at a time, in a task of its own.

A load takes long under load, since its canary waits for the batch. The replica reports meanwhile.
"""

import asyncio
import logging
import time
from pathlib import Path

from models.errors import ArtifactError, FyeError
from models.manifest import Adapter, AdapterManifest, load_adapter
from models.prompt import PROMPT_VERSION
from models.store.adapter_store import AdapterStore
from serve.adapters.registry import Version
from serve.capacity.limits import EMPTY_SLOT
from serve.errors import EngineDead
from serve.responder.runtime import Runtime
from serve.responder.validation import admit

log = logging.getLogger(__name__)
RETRY_S = 30.0  # a version that was rejected is tried again later


class AdapterLoads:
    """The load that is running, and why earlier ones failed.

    Attributes:
        rejected: reason by name, of each version that failed and is not tried again yet.
    """

    def __init__(self, runtime: Runtime) -> None:
        """Load into the engine of `runtime`."""
        self._runtime = runtime
        self._task: asyncio.Task[None] | None = None
        self._loading: str | None = None
        self._retry_at_s: dict[str, float] = {}
        self.rejected: dict[str, str] = {}

    @property
    def running(self) -> bool:
        """True while a version is being loaded."""
        return self._loading is not None

    def resident(self) -> frozenset[str]:
        """Return the loaded versions, without one whose validation has not ended."""
        loaded = self._runtime.engine.stats().adapters
        return frozenset(name for name in loaded if name != self._loading)

    def can_start(self, name: str) -> bool:
        """Return whether a version may be loaded now."""
        return not self.running and name not in self._retry_at_s and self._has_free_slot()

    def start(self, version: Version) -> None:
        """Load a version in a task. Another load must not be running."""
        self._loading = version.name
        self._task = asyncio.create_task(self._load(version))

    def forget(self, wanted: set[str]) -> None:
        """Forget the failures that are old, and those of versions that are not wanted any more."""
        now_s = time.monotonic()
        self._retry_at_s = {
            name: until_s
            for name, until_s in self._retry_at_s.items()
            if until_s > now_s and name in wanted
        }
        self.rejected = {
            name: reason for name, reason in self.rejected.items() if name in self._retry_at_s
        }

    async def wait(self, seconds: float) -> None:
        """Wait for the end of the running load, at most some seconds; without one that long."""
        if self._task and self.running:
            await asyncio.wait({self._task}, timeout=seconds)
        else:
            await asyncio.sleep(seconds)

    async def cancel(self) -> None:
        """End the running load, if there is one. Its version is not resident then."""
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})

    def _has_free_slot(self) -> bool:
        """Return whether the engine can load one more version without evicting one."""
        limits = self._runtime.limits
        slots = limits.max_loras - EMPTY_SLOT - limits.max_blends
        # Without any slot every version is rejected, with the reason.
        return not limits.max_loras or len(self.resident()) < slots

    async def _load(self, version: Version) -> None:
        try:
            # Files are read and hashed in a thread: the event loop sends every stream.
            runtime = self._runtime
            adapter = await asyncio.to_thread(_read, version, runtime.store)
            await admit(runtime.engine, runtime.encoder, adapter, runtime.limits)
        except EngineDead:
            self._retry_later(version.name)  # the replica is replaced; the version may be good
        except FyeError as error:
            self._reject(version.name, str(error))
        except Exception as error:
            log.exception("cannot load %s because of an unexpected error", version.name)
            self._reject(version.name, f"{version.name} cannot be loaded: {type(error).__name__}")
        finally:
            self._loading = None

    def _reject(self, name: str, reason: str) -> None:
        self.rejected[name] = reason
        self._retry_later(name)

    def _retry_later(self, name: str) -> None:
        self._retry_at_s[name] = time.monotonic() + RETRY_S


def _read(version: Version, store: AdapterStore) -> Adapter:
    """Return the adapter of a version. Raises ArtifactError if its folder does not hold it."""
    if version.folder is None:
        raise ArtifactError(f"{version.name} has no folder to load it from")
    adapter = store.get(version.folder, _check)
    found = adapter.manifest.versioned_name
    if found != version.name:
        raise ArtifactError(f"{version.folder} now holds {found}, not {version.name}")
    return adapter


def _check(folder: Path) -> Adapter:
    """Load and check an adapter. The controller has compared its base with the base weights."""
    return load_adapter(folder, AdapterManifest.read(folder).base_hash, PROMPT_VERSION)
