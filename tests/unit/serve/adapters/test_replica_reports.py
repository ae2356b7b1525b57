"""Waiting until every live replica has applied a change."""

import asyncio

import pytest

from serve.adapters import replica_reports
from serve.adapters.registry import ReplicaReport
from serve.adapters.replica_reports import ReplicaReports
from serve.errors import AdapterRejected, NotReady


def report(replica: str, *resident: str, **rejected: str) -> ReplicaReport:
    return ReplicaReport(replica, frozenset(resident), rejected, {})


def has_joy(found: ReplicaReport) -> bool:
    return "joy" in found.resident


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> ReplicaReports:
    monkeypatch.setattr(replica_reports, "CHANGE_TIMEOUT_S", 0.1)
    return ReplicaReports()


async def test_waits_for_every_replica(reports: ReplicaReports) -> None:
    await reports.record(report("one"))
    await reports.record(report("two"))
    waiting = asyncio.create_task(reports.wait_until(has_joy, "joy"))
    await asyncio.sleep(0)
    await reports.record(report("one", "joy"))
    await asyncio.sleep(0)
    assert not waiting.done()
    await reports.record(report("two", "joy"))
    await waiting


async def test_ignores_reports_from_before_the_change(reports: ReplicaReports) -> None:
    await reports.record(report("one", "joy"))
    with pytest.raises(NotReady):
        await reports.wait_until(has_joy, "joy")


async def test_times_out_without_replicas(reports: ReplicaReports) -> None:
    with pytest.raises(NotReady):
        await reports.wait_until(lambda _: True)


async def test_rejection_wins_over_residency(reports: ReplicaReports) -> None:
    waiting = asyncio.create_task(reports.wait_until(has_joy, "joy"))
    await asyncio.sleep(0)
    await reports.record(report("one", "joy", joy="it has no effect"))
    with pytest.raises(AdapterRejected, match="it has no effect"):
        await waiting


async def test_forgets_replicas_that_stopped_reporting(
    reports: ReplicaReports, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reports.record(report("gone"))
    assert list(reports.live()) == ["gone"]
    monkeypatch.setattr(replica_reports, "REPLICA_TIMEOUT_S", 0)
    assert reports.live() == {}
