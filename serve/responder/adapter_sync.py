"""Reconciliation of one responder replica with the adapter controller.

It loads the adapter versions that are published, after validation, and switches to the promoted
ones. Its next report tells the controller what came of it. It reports while a load goes on, too, so
that the controller waits for it.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Set
from contextlib import contextmanager

from models.emotions import LABELS
from serve.adapters.configured import AdapterSource
from serve.adapters.registry import SYNC_INTERVAL_S, Releases, ReplicaReport
from serve.adapters.trial import Trial
from serve.responder.adapter_loads import AdapterLoads
from serve.responder.runtime import Runtime
from serve.responder.trial_tallies import TrialTallies
from serve.telemetry.metrics import gauge

log = logging.getLogger(__name__)
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
        self._loads = AdapterLoads(runtime)
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
        try:
            while True:
                await self._loads.wait(SYNC_INTERVAL_S)
                await self._try_step()
        finally:
            await self._loads.cancel()

    async def start(self) -> None:
        """Reconcile until every version that can be loaded is resident.

        The replica reports meanwhile, so that a change waits for it.
        """
        await self.step()
        while self._loads.running:
            await self._loads.wait(SYNC_INTERVAL_S)
            await self._try_step()

    async def step(self) -> None:
        """Report to the controller once, and apply its desired state as far as that is resident.

        What is not is loaded afterwards, one version at a time, promoted ones first. A version
        that answers is unloaded only after its successor has become resident.
        """
        await self._apply(await self._receive())

    async def _try_step(self) -> None:
        try:
            desired = await self._receive()
        except Exception as error:  # noqa: BLE001 (the controller may be restarting)
            log.warning("no reply from the adapter controller: %s", type(error).__name__)
            return
        try:
            await self._apply(desired)
        except Exception:
            log.exception("cannot apply the adapter controller's state, trying again")

    async def _receive(self) -> Releases:
        desired = await self._sync(self._report())
        if not desired.pending:
            self._desired = desired
        self.tallies.follow(desired)
        return desired

    async def _apply(self, desired: Releases) -> None:
        wanted = {version.name: version for version in desired.versions}
        self._loads.forget(set(wanted))
        await self._use(desired)
        promoted = set(desired.aliases.values())
        missing = wanted.keys() - self._loads.resident()
        for name in sorted(missing, key=lambda name: (name not in promoted, name)):
            if self._loads.can_start(name):
                self._loads.start(wanted[name])

    async def _use(self, desired: Releases) -> None:
        """Switch each persona to its newest resident version, and unload what is not used.

        A persona without one keeps what it has; otherwise it answers by its instruction.
        """
        resident = self._loads.resident()
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
        # All of them each time: Ray forgets a gauge that was not set for 20 s.
        for persona in expected.keys() | self.fallbacks.keys():
            self._fallback.set(float(persona in used), tags={"persona": persona})
        for persona, name in used.items():
            if self.fallbacks.get(persona) != name:
                promoted = expected[persona]
                reason = self._loads.rejected.get(promoted, "it is not resident")
                log.error("%s answers with %s, not %s: %s", persona, name, promoted, reason)
        self.fallbacks = used

    async def _unload_all_but(self, wanted: Set[str]) -> None:
        """Unload what is neither wanted nor in use. A version that answers stays."""
        for name in self._loads.resident() - wanted - set(self.aliases.values()):
            if not self._in_use[name]:
                await self._runtime.engine.unload(name)

    def _report(self) -> ReplicaReport:
        return ReplicaReport(
            self._replica,
            self._loads.resident(),
            dict(self._loads.rejected),
            self.aliases,
            self._desired,
            self.trials,
            dict(self.tallies.current),
        )
