"""Reconciliation of one responder replica with the adapter controller.

It loads the adapter versions that are published, after validation, and switches to the promoted
ones. Its next report tells the controller what came of it.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Set
from contextlib import contextmanager

from models.emotions import LABELS
from models.errors import ArtifactError, FyeError
from models.manifest import AdapterManifest, load_adapter
from models.prompt import PROMPT_VERSION
from serve.adapters.configured import AdapterSource
from serve.adapters.registry import SYNC_INTERVAL_S, Releases, ReplicaReport, Version
from serve.adapters.trial import Trial
from serve.capacity.limits import EMPTY_SLOT
from serve.responder.runtime import Runtime
from serve.responder.trial_tallies import TrialTallies
from serve.responder.validation import admit
from serve.telemetry.metrics import gauge

log = logging.getLogger(__name__)
RETRY_REJECTED_S = 30.0
INSTRUCTION = "its instruction"
Sync = Callable[[ReplicaReport], Awaitable[Releases]]


class AdapterSync:
    """Adapter versions of one replica.

    Attributes:
        aliases: version in use by persona. It is replaced as a whole, between two requests.
        trials: resident version on trial, by persona; replaced in the same way.
        tallies: counts of the versions that are compared.
        fallbacks: what answers instead, of each persona without its promoted version.
    """

    def __init__(self, runtime: Runtime, replica: str, sync: Sync) -> None:
        """Reconcile `replica` by calling `sync` of the adapter controller."""
        self._runtime = runtime
        self._replica = replica
        self._sync = sync
        self._desired: Releases | None = None
        self._rejected: dict[str, str] = {}
        self._retry_at_s: dict[str, float] = {}
        self._fallback = gauge(
            "fye_adapter_fallback", "Whether a persona lacks its promoted version", ("persona",)
        )
        self.fallbacks: dict[str, str] = {}
        self._in_use: Counter[str | None] = Counter()
        self.aliases: dict[str, str] = runtime.aliases
        self.trials: dict[str, Trial] = {}
        self.tallies = TrialTallies()

    def aliases_for(self, conversation: str) -> dict[str, str]:
        """Return the version by persona that answers a conversation, see `conversation_of`."""
        tried = {
            persona: trial.name
            for persona, trial in self.trials.items()
            if trial.takes(conversation)
        }
        return self.aliases | tried

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
        """Report to the controller once and apply its desired state.

        Promoted versions come first. A version that answers is unloaded only after its successor
        has become resident. One that was rejected is tried again later.
        """
        desired = await self._sync(self._report())
        self._desired = desired
        self.tallies.follow(desired)
        wanted = {version.name: version for version in desired.versions}
        now_s = time.monotonic()
        kept = {name: until_s for name, until_s in self._retry_at_s.items() if until_s > now_s}
        self._retry_at_s = {name: until_s for name, until_s in kept.items() if name in wanted}
        self._rejected = {name: self._rejected[name] for name in self._retry_at_s}
        promoted = set(desired.aliases.values())
        await self._use(desired)
        missing = wanted.keys() - self._resident() - self._rejected.keys()
        for name in sorted(missing, key=lambda name: (name not in promoted, name)):
            if self._has_free_slot():
                await self._load(wanted[name])
                await self._use(desired)

    async def _use(self, desired: Releases) -> None:
        """Switch each persona to its newest resident version, and unload what is not used.

        A persona without one keeps what it has; otherwise it answers by its instruction.
        """
        resident = self._resident()
        aliases: dict[str, str] = {}
        for persona, history in desired.promoted.items():
            current = (self.aliases[persona],) if persona in self.aliases else ()
            found = next((name for name in (*history[::-1], *current) if name in resident), None)
            if found is not None:
                aliases[persona] = found
        self.aliases = aliases
        self.trials = {
            persona: trial for persona, trial in desired.trials.items() if trial.name in resident
        }
        wanted = {version.name for version in desired.versions}
        await self._unload_all_but(wanted)
        self._note_fallbacks(desired)

    def _note_fallbacks(self, desired: Releases) -> None:
        """Log and export which personas do not answer with their promoted version."""
        expected: dict[str, str] = dict(desired.aliases)
        if self._runtime.adapter_source is AdapterSource.MISSING:
            expected = dict.fromkeys(map(str, LABELS), "its configured adapter") | expected
        used = {
            persona: self.aliases.get(persona, INSTRUCTION)
            for persona, name in expected.items()
            if self.aliases.get(persona) != name
        }
        for persona in used.keys() | self.fallbacks.keys():
            self._fallback.set(float(persona in used), tags={"persona": persona})
        for persona, name in used.items():
            if self.fallbacks.get(persona) != name:
                promoted = expected[persona]
                reason = self._rejected.get(promoted, "it is not resident")
                log.error("%s answers with %s, not %s: %s", persona, name, promoted, reason)
        self.fallbacks = used

    async def _unload_all_but(self, wanted: Set[str]) -> None:
        """Unload what is neither wanted nor in use. A version that answers stays."""
        for name in self._resident() - wanted - set(self.aliases.values()):
            if not self._in_use[name]:
                await self._runtime.engine.unload(name)

    def _has_free_slot(self) -> bool:
        """Return whether the engine can load one more version without evicting one."""
        limits = self._runtime.limits
        slots = limits.max_loras - EMPTY_SLOT - limits.max_blends
        return slots < 0 or len(self._resident()) < slots

    async def _load(self, version: Version) -> None:
        try:
            if version.folder is None:
                raise ArtifactError(f"{version.name} has no folder to load it from")
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
            self._retry_at_s[version.name] = time.monotonic() + RETRY_REJECTED_S

    def _report(self) -> ReplicaReport:
        return ReplicaReport(
            self._replica,
            self._resident(),
            dict(self._rejected),
            self.aliases,
            self._desired,
            self.trials,
            dict(self.tallies.current),
        )

    def _resident(self) -> frozenset[str]:
        return frozenset(self._runtime.engine.stats().adapters)
