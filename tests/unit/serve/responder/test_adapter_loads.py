"""Loads of versions: the replica reports meanwhile, and every failure is a rejection."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.emotions import Emotion
from models.manifest import AdapterManifest
from serve.adapters import controller as controller_module
from serve.adapters import replica_reports
from serve.adapters.registry import Releases, ReplicaReport, Version
from serve.adapters.replica_reports import REPLICA_TIMEOUT_S
from serve.engine.scripted import ScriptedEngine
from serve.errors import AdapterRejected, EngineDead
from serve.responder import adapter_sync
from serve.responder.adapter_sync import AdapterSync
from serve.responder.runtime import Runtime
from support.adapter_fleet import INITIAL, Fleet, scripted_runtime
from support.adapters import write_adapter
from support.fakes import FakeClock

PATIENCE_S = 60


class BusyEngine(ScriptedEngine):
    """Engine whose canary waits for the batch until `idle` is set, and then may fail."""

    def __init__(self) -> None:
        super().__init__(tuple(INITIAL.aliases.values()))
        self.idle = asyncio.Event()
        self.error: Exception | None = None

    async def next_token_logprobs(self, prompt: list[int], adapter: str | None) -> dict[int, float]:
        await self.idle.wait()
        if self.error:
            raise self.error
        return await super().next_token_logprobs(prompt, adapter)


class ReportedTime(FakeClock):
    """Clock of the controller on which a second passes with each report of the first replica.

    Attributes:
        reported_s: time of the last report, by replica.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reported_s: dict[str, float] = {}

    async def sync(self, fleet: Fleet, report: ReplicaReport) -> Releases:
        """Pass a report on."""
        if report.replica == "replica-0":
            self.pass_ms(1000)
        self.reported_s[report.replica] = self()
        return await fleet.controller.sync(report)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ReportedTime:
    clock = ReportedTime()
    monkeypatch.setenv("FYE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(adapter_sync, "SYNC_INTERVAL_S", 0.01)
    monkeypatch.setattr(controller_module, "RECOVERY_WINDOW_S", 0)
    monkeypatch.setattr(replica_reports, "time", SimpleNamespace(monotonic=clock))
    return clock


async def until(found: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(PATIENCE_S):
        while not found():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def start_publishing(
    clock: ReportedTime, folder: Path, engine: BusyEngine
) -> tuple[Fleet, "asyncio.Task[str]", list["asyncio.Task[None]"]]:
    """Publish to an idle and a busy replica, and wait for twice the time in which one is gone."""
    write_adapter(folder, Emotion.JOY)
    fleet = Fleet()
    fleet.sync = lambda report: clock.sync(fleet, report)
    await fleet.add_replica()
    await fleet.add_replica(engine)
    running = [asyncio.create_task(replica.run()) for replica in fleet.replicas]
    publishing = asyncio.create_task(fleet.publish(folder))
    new = AdapterManifest.read(folder).versioned_name
    await until(lambda: publishing.done() or new in engine.stats().adapters)
    began_s = clock.now_s
    await until(lambda: publishing.done() or clock.now_s > began_s + 2 * REPLICA_TIMEOUT_S)
    return fleet, publishing, running


async def test_a_change_waits_for_a_replica_that_loads(clock: ReportedTime, tmp_path: Path) -> None:
    engine = BusyEngine()
    fleet, publishing, running = await start_publishing(clock, tmp_path / "new", engine)
    assert not publishing.done(), "a replica that loads is live"
    live = fleet.controller._reports.live()
    assert set(live) == {"replica-0", "replica-1"}
    assert live["replica-1"].resident == frozenset(INITIAL.aliases.values()), "not validated yet"
    engine.idle.set()
    name = await publishing
    assert all(name in engine.stats().adapters for engine in fleet.engines)
    for task in running:
        task.cancel()


async def test_a_change_does_not_wait_for_a_replica_that_dies_while_it_loads(
    clock: ReportedTime, tmp_path: Path
) -> None:
    engine = BusyEngine()
    fleet, publishing, running = await start_publishing(clock, tmp_path / "new", engine)
    running[1].cancel()
    name = await publishing
    assert clock.reported_s["replica-1"] + REPLICA_TIMEOUT_S <= clock.now_s
    assert set(fleet.controller._reports.live()) == {"replica-0"}
    assert name not in engine.stats().adapters, "the load ended with the replica"
    running[0].cancel()


async def test_a_starting_replica_reports_while_it_loads(
    clock: ReportedTime, tmp_path: Path
) -> None:
    write_adapter(tmp_path / "new", Emotion.JOY)
    fleet = Fleet()
    await fleet.add_replica()
    running = asyncio.create_task(fleet.replicas[0].run())
    name = await fleet.publish(tmp_path / "new")
    running.cancel()
    engine = BusyEngine()
    reports = list[ReplicaReport]()

    async def sync(report: ReplicaReport) -> Releases:
        reports.append(report)
        return await fleet.controller.sync(report)

    replica = AdapterSync(await scripted_runtime(engine), "new", sync)
    starting = asyncio.create_task(replica.start())
    await until(lambda: len(reports) > 3)
    assert not starting.done()
    engine.idle.set()
    await starting
    assert name in reports[-1].resident


def one_new(folder: Path) -> Releases:
    """Return a state with a new version of joy."""
    write_adapter(folder, Emotion.JOY)
    name = AdapterManifest.read(folder).versioned_name
    version = Version(name=name, persona=Emotion.JOY, folder=folder)
    return INITIAL.model_copy(update={"versions": (*INITIAL.versions, version)})


async def loaded(runtime: Runtime, desired: Releases) -> ReplicaReport:
    """Reconcile until nothing is loaded any more, and return the last report."""
    reports = list[ReplicaReport]()

    async def sync(report: ReplicaReport) -> Releases:
        reports.append(report)
        return desired

    await AdapterSync(runtime, "one", sync).start()
    return reports[-1]


async def test_an_unexpected_error_of_a_load_is_a_rejection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = BusyEngine()
    engine.idle.set()
    engine.error = KeyError("lora_a")
    desired = one_new(tmp_path / "new")
    name = desired.versions[-1].name
    report = await loaded(await scripted_runtime(engine), desired)
    assert report.rejected == {name: f"{name} cannot be loaded: KeyError"}
    assert f"cannot load {name}" in caplog.text
    assert name not in engine.stats().adapters


async def test_a_dead_engine_rejects_no_version(tmp_path: Path) -> None:
    engine = BusyEngine()
    engine.idle.set()
    engine.error = EngineDead("the engine is dead")
    report = await loaded(await scripted_runtime(engine), one_new(tmp_path / "new"))
    assert (report.rejected, report.resident) == ({}, frozenset(INITIAL.aliases.values()))


async def test_an_error_that_is_not_the_controllers_is_not_called_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(adapter_sync, "SYNC_INTERVAL_S", 0.01)

    class Failing(ScriptedEngine):
        async def unload(self, versioned_name: str) -> None:
            raise KeyError(versioned_name)

    engine = Failing(("joy@old",))

    async def sync(report: ReplicaReport) -> Releases:
        return Releases()

    runtime = await scripted_runtime(engine)
    runtime.aliases.clear()
    running = asyncio.create_task(AdapterSync(runtime, "one", sync).run())
    await until(lambda: "cannot apply the adapter controller's state" in caplog.text)
    running.cancel()
    assert "no reply" not in caplog.text


async def test_publishing_to_a_server_without_adapters_says_so(
    clock: ReportedTime, tmp_path: Path
) -> None:
    write_adapter(tmp_path / "new", Emotion.JOY)
    fleet = Fleet()
    await fleet.add_replica(without_adapters=True)
    running = asyncio.create_task(fleet.replicas[0].run())
    with pytest.raises(AdapterRejected, match="this server was started without adapters"):
        await fleet.publish(tmp_path / "new")
    running.cancel()
