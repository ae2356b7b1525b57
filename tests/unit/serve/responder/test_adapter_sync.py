"""Reconciliation of a responder replica with the adapter controller."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.emotions import LABELS, Emotion
from models.manifest import Adapter, AdapterManifest
from serve.adapters.configured import AdapterSource
from serve.adapters.registry import Releases, ReplicaReport, Version
from serve.capacity.limits import EngineLimits
from serve.config import ResponderConfig
from serve.engine.scripted import ScriptedEncoder, ScriptedEngine
from serve.responder import adapter_loads, adapter_sync
from serve.responder.adapter_sync import AdapterSync
from serve.responder.runtime import Runtime, start_runtime
from support.adapter_fleet import INITIAL
from support.adapters import write_adapter
from support.fakes import FakeClock


@pytest.fixture
async def runtime() -> Runtime:
    return await start_runtime(ResponderConfig(kind="scripted"))


def without_joy() -> Releases:
    others = tuple(version for version in INITIAL.versions if version.persona != Emotion.JOY)
    promoted = {who: names for who, names in INITIAL.promoted.items() if who != Emotion.JOY}
    return INITIAL.model_copy(update={"versions": others, "promoted": promoted})


async def test_keeps_withdrawn_version_while_it_is_in_use(runtime: Runtime) -> None:
    async def sync(report: ReplicaReport) -> Releases:
        return without_joy()

    replica = AdapterSync(runtime, "one", sync)
    with replica.using("joy@scripted"):
        await replica.step()
        assert "joy@scripted" in runtime.engine.stats().adapters
    await replica.step()
    assert "joy@scripted" not in runtime.engine.stats().adapters


async def test_reports_the_state_that_it_received(runtime: Runtime) -> None:
    reports = list[ReplicaReport]()

    async def sync(report: ReplicaReport) -> Releases:
        reports.append(report)
        return INITIAL

    replica = AdapterSync(runtime, "one", sync)
    await replica.step()
    await replica.step()
    assert [report.desired for report in reports] == [None, INITIAL]
    assert {report.replica for report in reports} == {"one"}


async def test_lost_controller_changes_nothing(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter_sync, "SYNC_INTERVAL_S", 0.01)
    calls = 0

    async def sync(report: ReplicaReport) -> Releases:
        nonlocal calls
        calls += 1
        raise ConnectionError

    replica = AdapterSync(runtime, "one", sync)
    task = asyncio.create_task(replica.run())
    async with asyncio.timeout(60):
        while calls < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    task.cancel()
    assert replica.aliases == INITIAL.aliases


async def test_keeps_promoted_version_until_its_successor_is_resident(runtime: Runtime) -> None:
    others = tuple(version for version in INITIAL.versions if version.persona != Emotion.JOY)
    unloadable = Version(name="joy@next", persona=Emotion.JOY)  # it has no folder
    desired = INITIAL.model_copy(
        update={
            "versions": (*others, unloadable),
            "promoted": INITIAL.promoted | {Emotion.JOY: ("joy@next",)},
        }
    )

    async def sync(report: ReplicaReport) -> Releases:
        return desired

    replica = AdapterSync(runtime, "one", sync)
    await replica.start()
    await replica.step()
    assert replica.aliases[Emotion.JOY] == "joy@scripted"
    assert "joy@scripted" in runtime.engine.stats().adapters


def replaced(folder: Path, *personas: Emotion) -> Releases:
    """Return a state in which these personas have a new version, and nothing else is resident."""
    versions = list[Version]()
    for persona in personas:
        write_adapter(folder / persona, persona)
        name = AdapterManifest.read(folder / persona).versioned_name
        versions.append(Version(name=name, persona=persona, folder=folder / persona))
    promoted = {str(one.persona): (f"{one.persona}@scripted", one.name) for one in versions}
    return Releases(versions=tuple(versions), promoted=INITIAL.promoted | promoted, revision=1)


class CountingEngine(ScriptedEngine):
    """Engine that notes the largest number of resident versions, and what answered at unloads."""

    most = 0

    async def load(self, adapter: Adapter) -> None:
        await super().load(adapter)
        self.most = max(self.most, len(self.stats().adapters))


async def test_replaces_every_version_within_the_slots(tmp_path: Path) -> None:
    """Each persona is switched by itself: its version is unloaded once its successor is there."""
    desired = replaced(tmp_path, *LABELS)
    engine = CountingEngine(tuple(INITIAL.aliases.values()))
    limits = EngineLimits(max_loras=8, max_lora_rank=16, max_num_seqs=4, max_model_len=256)
    runtime = Runtime(engine, ScriptedEncoder(), dict(INITIAL.aliases), limits)

    async def sync(report: ReplicaReport) -> Releases:
        return desired

    replica = AdapterSync(runtime, "one", sync)
    await replica.start()
    assert replica.aliases == desired.aliases
    assert set(engine.stats().adapters) == set(desired.aliases.values())
    assert engine.most == 7
    assert replica.fallbacks == {}


async def test_versions_leave_the_slots_of_blends_free(tmp_path: Path) -> None:
    desired = replaced(tmp_path, Emotion.JOY)
    engine = CountingEngine(("joy@scripted",))
    limits = EngineLimits(8, 16, 4, 256, max_blends=6)  # one slot for a version, one that is empty
    aliases: dict[str, str] = {Emotion.JOY: "joy@scripted"}
    runtime = Runtime(engine, ScriptedEncoder(), aliases, limits)

    async def sync(report: ReplicaReport) -> Releases:
        return desired.model_copy(
            update={"promoted": {Emotion.JOY: ("joy@scripted", desired.versions[0].name)}}
        )

    await AdapterSync(runtime, "one", sync).start()
    assert engine.stats().adapters == ("joy@scripted",)


async def test_a_version_that_vanished_falls_back_and_is_tried_again(
    runtime: Runtime,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    monkeypatch.setattr(adapter_loads, "time", SimpleNamespace(monotonic=clock))
    desired = replaced(tmp_path, Emotion.JOY, Emotion.FEAR)
    (tmp_path / "joy").rename(tmp_path / "away")

    async def sync(report: ReplicaReport) -> Releases:
        return desired

    replica = AdapterSync(runtime, "one", sync)
    await replica.start()
    assert replica.aliases[Emotion.JOY] == "joy@scripted"
    assert replica.aliases[Emotion.FEAR] == desired.aliases[Emotion.FEAR]
    assert replica.fallbacks == {"joy": "joy@scripted"}
    assert f"joy answers with joy@scripted, not {desired.aliases['joy']}" in caplog.text
    (tmp_path / "away").rename(tmp_path / "joy")
    clock.pass_ms(1000 * adapter_loads.RETRY_S + 1)
    await replica.start()
    assert replica.aliases[Emotion.JOY] == desired.aliases[Emotion.JOY]
    assert replica.fallbacks == {}


async def test_missing_adapters_are_fallbacks_of_all_built_in_personas(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = EngineLimits(max_loras=0, max_lora_rank=8, max_num_seqs=4, max_model_len=256)
    source = AdapterSource.MISSING
    runtime = Runtime(ScriptedEngine(()), ScriptedEncoder(), {}, limits, source)

    async def sync(report: ReplicaReport) -> Releases:
        return Releases()

    replica = AdapterSync(runtime, "one", sync)
    await replica.step()
    await replica.step()
    assert replica.fallbacks == dict.fromkeys(LABELS, "its instruction")
    assert len(caplog.records) == len(LABELS), "each is logged once"
    assert "joy answers with its instruction, not its configured adapter" in caplog.text


async def test_a_replica_without_any_version_answers_by_instruction(
    runtime: Runtime, tmp_path: Path
) -> None:
    desired = replaced(tmp_path, Emotion.JOY)
    (tmp_path / "joy").rename(tmp_path / "away")
    await runtime.engine.unload("joy@scripted")

    async def sync(report: ReplicaReport) -> Releases:
        return desired

    replica = AdapterSync(runtime, "one", sync)
    await replica.start()
    assert Emotion.JOY not in replica.aliases
    assert replica.fallbacks == {"joy": "its instruction"}
