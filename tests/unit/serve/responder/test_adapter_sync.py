"""Reconciliation of a responder replica with the adapter controller."""

import asyncio

import pytest

from models.emotions import Emotion
from serve.adapters.registry import Releases, ReplicaReport, Version
from serve.config import ResponderConfig
from serve.responder import adapter_sync
from serve.responder.adapter_sync import AdapterSync
from serve.responder.runtime import Runtime, start_runtime
from support.adapter_fleet import INITIAL


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
    await asyncio.sleep(0.1)
    task.cancel()
    assert calls > 1
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
    await replica.step()
    await replica.step()
    assert replica.aliases[Emotion.JOY] == "joy@scripted"
    assert "joy@scripted" in runtime.engine.stats().adapters
