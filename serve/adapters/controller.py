"""The control stage: one replica that holds the releases, and tells every responder replica what to have resident and who answers.

Replicas ask it once a second and say what they have. A change is done when each that lives has followed it. One that is started anew
learns from them what the one before had come to.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from models.emotions import LABELS
from models.errors import ArtifactError
from models.lora_layout import base_layers
from models.manifest import Adapter, AdapterManifest, load_adapter
from models.prompt import PROMPT_VERSION
from models.weights.cache import Materialized, materialize
from serve.adapters.registry import Releases, Version
from serve.capacity import resident_places
from serve.config import ResponderConfig
from serve.errors import AdapterRefused, NotReady
from serve.responder.runtime import find_adapters

SYNC_INTERVAL_S = 1.0
LIVES_S = 10.0  # a replica that has not asked for so long is gone
CHANGE_TIMEOUT_S = 90.0
HEARS_S = 3 * SYNC_INTERVAL_S  # after its start, in which it hears from those that follow the one before; until then it knows nothing better


@dataclass(frozen=True, slots=True)
class ReplicaReport:
    """What a responder replica has: resident versions, those that it refused and why, who answers, and what it was told last."""

    replica: str
    resident: frozenset[str]
    refused: dict[str, str]
    aliases: dict[str, str]
    told: Releases | None = None


@dataclass(frozen=True, slots=True)
class ControllerStatus:
    """What an operator sees."""

    releases: Releases
    replicas: dict[str, ReplicaReport] = field(default_factory=dict)


class AdapterController:
    """`state` is the file in which releases outlive every replica; without it they begin with what the configuration names."""

    def __init__(self, config: ResponderConfig) -> None:
        self._base = materialize(config.base) if config.kind == "vllm" else None
        self._state = config.releases
        first = first_releases(config, self._base)
        self._places = resident_places(len(first.versions))  # as the engines were started for, whatever was promoted since
        self._releases = self._restored() or first
        self._reports: dict[str, tuple[float, ReplicaReport]] = {}
        self._knows_from_s = time.monotonic() + HEARS_S
        self._news = asyncio.Condition()
        self._one_change = asyncio.Lock()

    async def sync(self, report: ReplicaReport) -> Releases:
        """A replica says what it has and is told what to have."""
        async with self._news:
            self._reports[report.replica] = (time.monotonic(), report)
            if report.told and report.told.follows(self._releases):
                self._releases = report.told
            self._news.notify_all()
        return self._releases

    async def status(self) -> ControllerStatus:
        await self._known()
        return ControllerStatus(self._releases, {report.replica: report for _, report in self._live()})

    async def publish(self, folder: str) -> ControllerStatus:
        """Makes an adapter resident everywhere. Raises AdapterRefused with the reason of whoever refused it; then it is nowhere."""
        async with self._changing():
            version = self._checked(Path(folder))
            self._become(self._releases.publish(version, self._places))
            await self._until(lambda report: version.name in report.resident, version.name)
            return await self._saved()

    async def promote(self, name: str) -> ControllerStatus:
        """From when this returns every new answer of the persona is that version's."""
        async with self._changing():
            return await self._switch(self._releases.promote(name))

    async def rollback(self, persona: str) -> ControllerStatus:
        async with self._changing():
            return await self._switch(self._releases.rollback(persona))

    async def _switch(self, changed: Releases) -> ControllerStatus:
        self._become(changed)
        await self._until(lambda report: report.aliases == changed.aliases, None)
        return await self._saved()

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """One change at a time. What goes wrong on its way undoes it."""
        async with self._one_change:
            await self._known()
            before = self._releases
            try:
                yield
            except BaseException:
                self._become(before)
                raise

    async def _known(self) -> None:
        """Until then it may not have heard what the one before had come to, and would show or change what no longer is."""
        await asyncio.sleep(self._knows_from_s - time.monotonic())

    def _become(self, releases: Releases) -> None:
        """Undoing is a change, too, so that no replica's word of what was undone can be the later one."""
        self._releases = releases.model_copy(update={"change": self._releases.change + 1})

    def _checked(self, folder: Path) -> Version:
        try:
            adapter = self._loaded(folder)
        except ArtifactError as error:
            raise AdapterRefused(str(error)) from error
        return _version(adapter)

    def _loaded(self, folder: Path) -> Adapter:
        """The scripted engine has no base, so that any will do."""
        if self._base is None:
            return load_adapter(folder, AdapterManifest.read(folder).base_hash, PROMPT_VERSION)
        return load_adapter(folder, self._base.sha256, PROMPT_VERSION, base_layers(self._base.folder))

    async def _until(self, followed: Callable[[ReplicaReport], bool], name: str | None) -> None:
        """Returns when every live replica has said, since the change, that it has followed. Raises AdapterRefused or NotReady."""
        since_s = time.monotonic()
        try:
            async with asyncio.timeout(CHANGE_TIMEOUT_S), self._news:
                while not self._followed(since_s, followed, name):
                    await self._news.wait()
        except TimeoutError as error:
            raise NotReady(f"not every replica has followed within {CHANGE_TIMEOUT_S:g} s; the change was undone") from error

    def _followed(self, since_s: float, followed: Callable[[ReplicaReport], bool], name: str | None) -> bool:
        """Who refuses is heard before it is asked who has followed: what one replica cannot have is not for the others either."""
        live = self._live()
        since = [report for seen_s, report in live if seen_s >= since_s]
        for report in since:
            if name in report.refused:
                raise AdapterRefused(report.refused[name])
        return bool(live) and len(since) == len(live) and all(map(followed, since))

    def _live(self) -> list[tuple[float, ReplicaReport]]:
        """The last reports, and when they came."""
        now_s = time.monotonic()
        self._reports = {name: (seen_s, report) for name, (seen_s, report) in self._reports.items() if now_s - seen_s < LIVES_S}
        return list(self._reports.values())

    def _restored(self) -> Releases | None:
        return Releases.model_validate_json(self._state.read_bytes()) if self._state and self._state.exists() else None

    async def _saved(self) -> ControllerStatus:
        if self._state:
            fresh = self._state.with_suffix(".new")
            fresh.write_text(self._releases.model_dump_json(indent=2) + "\n", "utf-8")
            fresh.replace(self._state)
        return await self.status()


def first_releases(config: ResponderConfig, base: Materialized | None) -> Releases:
    """What the configuration names: the adapters of its folder, or without a base the scripted engine's."""
    if base is None:
        return _answering(Version(name=f"{label}@scripted", persona=label) for label in LABELS)
    found = find_adapters(config.adapters, base) if config.adapters else []
    return _answering(map(_version, found))


def _version(adapter: Adapter) -> Version:
    manifest = adapter.manifest
    return Version(name=manifest.versioned_name, persona=manifest.persona, folder=adapter.folder.resolve(), character=adapter.added_persona)


def _answering(versions: Iterable[Version]) -> Releases:
    found = tuple(versions)
    names = tuple(version.name for version in found)
    return Releases(versions=found, answering={version.persona: (version.name,) for version in found}, began=names)
