"""Reconciliation of a responder replica with the adapter controller."""

import asyncio

import pytest

from models.emotions import Emotion
from serve.adapters.registry import Releases, ReplicaReport
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
    return INITIAL.model_copy(update={"versions": others})


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
