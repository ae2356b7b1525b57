"""Adapter controller: a single-replica deployment that holds the desired adapter versions.

Responder replicas report to it once a second and reconcile with its answer. A change is complete
when every live replica has applied it. After a restart, the controller recovers the latest state
from the reports of the replicas.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from models.emotions import LABELS
from models.errors import ArtifactError
from models.lora_layout import base_layers
from models.manifest import Adapter, AdapterManifest, load_adapter
from models.prompt import PROMPT_VERSION
from models.store.adapter_store import Check
from models.weights.cache import Materialized, materialize
from serve.adapters.configured import adapter_store, configured_adapters
from serve.adapters.guard import Guard
from serve.adapters.registry import (
    SYNC_INTERVAL_S,
    ControllerStatus,
    Releases,
    ReplicaReport,
    Version,
)
from serve.adapters.replica_reports import ReplicaReports
from serve.adapters.trial import Trial
from serve.capacity import adapter_slots
from serve.config import ResponderConfig
from serve.deadline import RunningRequests
from serve.errors import AdapterRejected, ServingError

log = logging.getLogger(__name__)
# After a start, wait this long for replicas to report the previous controller's state.
RECOVERY_WINDOW_S = 3 * SYNC_INTERVAL_S
COMPARISON_INTERVAL_S = 1.0


class AdapterController:
    """Replica of the adapter controller. It makes one change at a time."""

    def __init__(self, config: ResponderConfig) -> None:
        """Restore the state file if the configuration names one and it exists.

        Otherwise start with the configured adapters.

        Raises:
            ArtifactError: the base weights, a configured adapter or the state file are not what
                they should be.
        """
        self._base = materialize(config.base) if config.kind == "vllm" else None
        self._state_file = config.releases
        self._roots = config.publish_roots
        self._store = adapter_store(config)
        initial = configured_releases(config, self._base)
        # The engines were started with slots for the configured versions, not the restored ones.
        self._capacity = adapter_slots(len(initial.versions))
        self._releases = self._restore() or initial
        self._reports = ReplicaReports()
        counts = self._state_file.with_suffix(".counts.json") if self._state_file else None
        self._guard = Guard(config.guard, counts)
        self._guard.restore(self._releases)
        self._recovered_at_s = time.monotonic() + RECOVERY_WINDOW_S
        self._compare_at_s = self._recovered_at_s
        self._change_lock = asyncio.Lock()
        self._running = RunningRequests()

    async def sync(self, report: ReplicaReport) -> Releases:
        """Record a replica's report and return the desired state.

        If the replica knows a later state, from before a restart of this controller, adopt it.
        The trial of a version that is worse ends here.
        """
        if report.desired and report.desired.supersedes(self._releases):
            self._releases = report.desired
        await self._reports.record(report)
        self._guard.record(report, self._releases)
        self._withdraw_worse()
        self._guard.export(self._releases)
        return self._releases

    def _withdraw_worse(self) -> None:
        """End trials of worse versions; not during a change, whose end may restore the state.

        If the state cannot be written, they end nevertheless, and the next call writes it.
        """
        now_s = time.monotonic()
        if self._change_lock.locked() or now_s < self._compare_at_s:
            return
        self._compare_at_s = now_s + COMPARISON_INTERVAL_S
        changed = self._guard.withdraw(self._releases)
        if changed is not self._releases:
            self._set(changed)
        if not self._guard.has_unaudited:
            return
        try:
            self._write_state()
        except OSError as error:
            reason = type(error).__name__
            log.error("cannot write %s (%s), trying again", self._state_file, reason)
        else:
            self._guard.audit()

    async def status(self) -> ControllerStatus:
        """Return the desired state, the reports of the live replicas, and the trials."""
        await self._wait_until_recovered()
        trials = self._guard.status(self._releases)
        return ControllerStatus(self._releases, self._reports.live(), trials)

    async def publish(self, folder: str) -> ControllerStatus:
        """Load an adapter on every replica. It is not used before it is promoted.

        Raises:
            AdapterRejected: the adapter is invalid, a replica rejected it, or no slot is free.
            NotReady: not every replica loaded it in time; the change was undone.
            ServingError: the state cannot be written; the change was undone.
        """
        async with self._changing():
            source = self._allowed(Path(folder))
            version = await asyncio.to_thread(self._store_version, source)
            self._set(self._releases.publish(version, self._capacity), pending=True)
            await self._reports.wait_until(
                lambda report: version.name in report.resident, version.name
            )
            await self._keep()
        return await self.status()

    async def promote(self, name: str, share: float = 1) -> ControllerStatus:
        """Use a published version for all new requests of its persona, or on trial.

        Args:
            name: of the version.
            share: part of the conversations that it answers; below 1 it is on trial until it is
                promoted or rolled back.

        Raises:
            AdapterRejected: the version is not published, or cannot be on trial.
            NotReady: not every replica switched in time; the change was undone.
            ServingError: the state cannot be written; the change was undone.
        """
        async with self._changing():
            persona = self._releases.find(name).persona
            if share < 1:
                changed = self._releases.try_out(Trial(name=name, share=share))
            else:
                changed = self._releases.promote(name)
            await self._switch(changed, persona)
        return await self.status()

    async def rollback(self, persona: str) -> ControllerStatus:
        """Use the persona's previous version again, or end a trial, or acknowledge its end.

        Raises:
            AdapterRejected: there is no previous version.
            NotReady: not every replica switched in time; the change was undone.
            ServingError: the state cannot be written; the change was undone.
        """
        async with self._changing():
            await self._switch(self._releases.rollback(persona), persona)
        return await self.status()

    async def end_changes(self) -> None:
        """Undo the change that waits for replicas, and refuse others. The server stops after this.

        Their callers get NotReady.
        """
        self._running.end_all()

    async def _switch(self, changed: Releases, persona: str) -> None:
        """Wait for this persona only: another one may lack its version."""
        self._set(changed, pending=True)
        name, trial = changed.aliases.get(persona), changed.trials.get(persona)
        await self._reports.wait_until(
            lambda report: (
                (report.aliases.get(persona), report.trials.get(persona)) == (name, trial)
            ),
            trial.name if trial else name,
        )
        await self._keep()

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """Hold the lock during a change, and undo the change if it fails or is cancelled.

        Raises:
            NotReady: the server stops.
        """
        async with self._running.enter(), self._change_lock:
            await self._wait_until_recovered()
            before = self._releases
            try:
                yield
            except BaseException:
                self._log_lost_counts(before)
                self._set(before)
                raise

    def _log_lost_counts(self, before: Releases) -> None:
        """Log which trials begin to count again: replicas forget a trial that a change ends."""
        for persona, trial in before.trials.items():
            if self._releases.trials.get(persona) != trial:
                log.warning("a change was undone, the trial of %s counts from 0", trial.name)

    async def _wait_until_recovered(self) -> None:
        """Wait until the recovery window has passed; before that the state may be stale."""
        await asyncio.sleep(self._recovered_at_s - time.monotonic())

    def _set(self, releases: Releases, pending: bool = False) -> None:
        """Replace the state under a new revision.

        Undoing a change gets a new revision too, so that no replica can bring the change back.
        """
        update = {"revision": self._releases.revision + 1, "pending": pending}
        self._releases = releases.model_copy(update=update)

    def _allowed(self, folder: Path) -> Path:
        """Return the folder without links. Raises AdapterRejected if it is below no root."""
        found = folder.resolve()
        roots = [root.resolve() for root in self._roots]
        if not any(found.is_relative_to(root) for root in roots):
            allowed = ", ".join(map(str, roots)) or "no folder"
            raise AdapterRejected(
                f"adapters are published from below {allowed}; add a folder to"
                " responder.publish_roots"
            )
        return found

    def _store_version(self, folder: Path) -> Version:
        """Check an adapter and copy it into the store. Raises AdapterRejected if it is invalid."""
        try:
            copy = self._store.add(folder, self._check())
            self._store.share(copy, again=True)
            return _version(copy)
        except ArtifactError as error:
            raise AdapterRejected(str(error)) from error

    def _check(self) -> Check:
        if self._base is None:  # a scripted engine accepts adapters of any base weights
            return lambda folder: load_adapter(
                folder, AdapterManifest.read(folder).base_hash, PROMPT_VERSION
            )
        base_hash, layers = self._base.sha256, base_layers(self._base.folder)
        return lambda folder: load_adapter(folder, base_hash, PROMPT_VERSION, layers)

    def _restore(self) -> Releases | None:
        if self._state_file is None or not self._state_file.exists():
            return None
        try:
            found = Releases.model_validate_json(self._state_file.read_bytes())
        except (OSError, ValueError) as error:
            raise ArtifactError(
                f"cannot read the state of the adapters in {self._state_file}"
                f" ({type(error).__name__}); restore the file or delete it"
            ) from error
        return found.model_copy(update={"versions": tuple(map(self._in_store, found.versions))})

    def _in_store(self, version: Version) -> Version:
        """Copy a version of an earlier state that is not in the store. Leave it if that fails."""
        try:
            if version.folder is None or self._store.holds(version.folder):
                return version
            added = self._store.add(version.folder, self._check())
            self._store.share(added)
        except ArtifactError as error:
            log.error("%s cannot be copied into the store: %s", version.name, error)
            return version
        copy = _version(added)
        return copy if copy.name == version.name else version

    async def _keep(self) -> None:
        """Keep a change for the next controller: in the state file, else by every live replica.

        Raises:
            NotReady: not every replica was told in time that the change is complete.
            ServingError: the state file cannot be written.
        """
        self._releases = self._releases.model_copy(update={"pending": False})
        if self._state_file is None:
            await self._reports.wait_until(lambda _: True)  # the reply to a report tells it
            return
        try:
            self._write_state()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ServingError(
                f"cannot write {self._state_file} ({reason}), so the change was undone; let this"
                " process write responder.releases, then make the change again"
            ) from None

    def _write_state(self) -> None:
        """Write the state file, if one is configured. The file is replaced atomically."""
        if self._state_file:
            new = self._state_file.with_suffix(".new")
            new.write_text(self._releases.model_dump_json(indent=2) + "\n", "utf-8")
            new.replace(self._state_file)


def configured_releases(config: ResponderConfig, base: Materialized | None) -> Releases:
    """Return the initial state: the configured adapters, or the scripted ones without a base.

    Raises:
        ArtifactError: a configured adapter is not what its manifest says.
    """
    if base is None:
        scripted = (Version(name=f"{label}@scripted", persona=label) for label in LABELS)
        return Releases.initial(scripted)
    return Releases.initial(map(_version, configured_adapters(config, base).adapters))


def _version(adapter: Adapter) -> Version:
    return Version(
        name=adapter.manifest.versioned_name,
        persona=adapter.manifest.persona,
        folder=adapter.folder.resolve(),
        added_persona=adapter.added_persona,
    )
