"""An adapter controller with responder replicas that reconcile with it, on scripted engines."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from serve.adapters.controller import AdapterController, configured_releases
from serve.capacity import derive_limits
from serve.config import ResponderConfig
from serve.engine.scripted import ScriptedEngine
from serve.responder.adapter_sync import AdapterSync, Sync
from serve.responder.runtime import Runtime, start_runtime

SCRIPTED = ResponderConfig(kind="scripted", publish_roots=(Path("/"),))
INITIAL = configured_releases(SCRIPTED, None)
CAPACITY = 8  # slots for six personas and two spare versions


class IneffectiveEngine(ScriptedEngine):
    """Engine whose adapters do not change the output."""

    def __init__(self) -> None:
        super().__init__(tuple(INITIAL.aliases.values()))

    async def next_token_logprobs(self, prompt: list[int], adapter: str | None) -> dict[int, float]:
        return {0: 0.0}


async def scripted_runtime(engine: ScriptedEngine, config: ResponderConfig = SCRIPTED) -> Runtime:
    """Start a runtime, and let another engine stand for its own."""
    return replace(await start_runtime(config), engine=engine)


class Fleet:
    """A controller and the replicas that report to it.

    Attributes:
        config: of the controller and the replicas; `releases` may name a file that outlives them.
        sync: passes the reports of the replicas on to the controller.
    """

    def __init__(self, state: Path | None = None, store: str | None = None) -> None:
        self.config = SCRIPTED.model_copy(update={"releases": state, "store": store})
        self.sync: Sync = lambda report: self.controller.sync(report)
        self.replicas: list[AdapterSync] = []
        self.engines: list[ScriptedEngine] = []
        self.restart_controller()

    def restart_controller(self) -> None:
        """Replace the controller by a new one."""
        self.controller = AdapterController(self.config)

    async def add_replica(
        self, engine: ScriptedEngine | None = None, without_adapters: bool = False
    ) -> AdapterSync:
        """Start a replica, which loads what is missing and reports."""
        engine = engine or ScriptedEngine(tuple(INITIAL.aliases.values()))
        runtime = await scripted_runtime(engine, self.config)
        if without_adapters:
            runtime = replace(runtime, limits=derive_limits(SCRIPTED, []))
        replica = AdapterSync(runtime, f"replica-{len(self.replicas)}", self.sync)
        await replica.start()
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
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(error, asyncio.CancelledError):
                raise AssertionError("a replica stopped reconciling") from error
