"""An adapter controller with responder replicas that reconcile with it, on scripted engines."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from models.emotions import LABELS
from serve.adapters.controller import AdapterController, configured_releases
from serve.adapters.registry import Releases, ReplicaReport
from serve.capacity import derive_limits
from serve.config import ResponderConfig
from serve.engine.scripted import ScriptedEncoder, ScriptedEngine
from serve.responder.adapter_sync import AdapterSync
from serve.responder.runtime import Runtime

SCRIPTED = ResponderConfig(kind="scripted", publish_roots=(Path("/"),))
INITIAL = configured_releases(SCRIPTED, None)
CAPACITY = 8  # slots for six personas and two spare versions


class IneffectiveEngine(ScriptedEngine):
    """Engine whose adapters do not change the output."""

    def __init__(self) -> None:
        super().__init__(tuple(INITIAL.aliases.values()))

    async def next_token_logprobs(self, prompt: list[int], adapter: str | None) -> dict[int, float]:
        return {0: 0.0}


class Fleet:
    """A controller and the replicas that report to it.

    Attributes:
        state: file that outlives the controller; None if there is none.
    """

    def __init__(self, state: Path | None = None) -> None:
        self.state = state
        self.replicas: list[AdapterSync] = []
        self.engines: list[ScriptedEngine] = []
        self.restart_controller()

    def restart_controller(self) -> None:
        """Replace the controller by a new one."""
        self.controller = AdapterController(SCRIPTED.model_copy(update={"releases": self.state}))

    async def add_replica(self, engine: ScriptedEngine | None = None) -> AdapterSync:
        """Start a replica, which reports once."""
        engine = engine or ScriptedEngine(tuple(INITIAL.aliases.values()))
        aliases: dict[str, str] = {label: f"{label}@scripted" for label in LABELS}
        runtime = Runtime(engine, ScriptedEncoder(), aliases, derive_limits(SCRIPTED, []))
        replica = AdapterSync(runtime, f"replica-{len(self.replicas)}", self._sync)
        await replica.step()
        self.replicas.append(replica)
        self.engines.append(engine)
        return replica

    async def publish(self, folder: Path) -> str:
        """Publish an adapter and return its versioned name."""
        status = await self.controller.publish(str(folder))
        return status.releases.versions[-1].name

    def promoted(self, persona: str) -> set[str]:
        """Return the versions that the replicas use for a persona."""
        return {replica.aliases[persona] for replica in self.replicas}

    async def _sync(self, report: ReplicaReport) -> Releases:
        return await self.controller.sync(report)


@asynccontextmanager
async def running_fleet(
    replicas: int, state: Path | None = None, last_engine: ScriptedEngine | None = None
) -> AsyncIterator[Fleet]:
    """Run a fleet whose replicas reconcile until the block ends."""
    fleet = Fleet(state)
    for number in range(replicas):
        await fleet.add_replica(last_engine if number == replicas - 1 else None)
    tasks = [asyncio.create_task(replica.run()) for replica in fleet.replicas]
    try:
        yield fleet
    finally:
        for task in tasks:
            task.cancel()
