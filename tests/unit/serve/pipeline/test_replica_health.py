"""Responder replica: readiness, health, start and end, and its adapter controller."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayActorError
from ray.serve import metrics
from ray.serve._private.common import DeploymentID
from ray.serve.exceptions import DeploymentUnavailableError

from serve.errors import (
    EngineDead,
    NotReady,
)
from serve.pipeline import replica as replica_module
from serve.pipeline.answer import Collector
from serve.pipeline.replica import Responder, ResponderReplica, export_operators, new_request_id
from support.adapter_fleet import INITIAL
from support.fakes import FakeHandle, FakeStages, RecordingWriter, message
from support.responder_parts import CONFIG, FakeController, Parts, make_responder


@pytest.fixture
def parts() -> Parts:
    """Responder that answers one message at once."""
    return make_responder()


@pytest.mark.parametrize(
    "error", [RayActorError(), DeploymentUnavailableError(DeploymentID("Detector", "app"))], ids=str
)
async def test_is_not_ready_before_a_detector_answers(parts: Parts, error: Exception) -> None:
    parts.detector.error = error
    with pytest.raises(NotReady):
        await parts.responder.probe()


async def test_is_not_ready_if_the_detector_hangs(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(replica_module, "PROBE_TIMEOUT_S", 0.01)
    parts.detector.ping = hang  # type: ignore[method-assign]
    with pytest.raises(NotReady):
        await parts.responder.probe()


async def test_stays_ready_once_a_detector_has_answered(parts: Parts) -> None:
    assert await parts.responder.probe() == {"lora": "active"}
    parts.detector.error = RayActorError()
    assert await parts.responder.probe() == {"lora": "active"}


async def test_tells_which_personas_answer_by_a_fallback(parts: Parts) -> None:
    assert parts.responder.adapters == {"source": "configured", "fallbacks": {}}
    await parts.engine.unload("joy@scripted")
    await parts.responder._sync.step()
    fallbacks = {"joy": "its instruction"}
    assert parts.responder.adapters == {"source": "configured", "fallbacks": fallbacks}
    assert (await parts.answer()).adapter == "fear@scripted"


async def test_gauges_are_set_again_and_again(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[str, float, dict[str, str]]] = []

    def record(self: Any, value: float, tags: dict[str, str]) -> None:
        found.append((self.info["name"], value, tags))
        if len(found) == 2:
            twice.set()

    twice = asyncio.Event()
    monkeypatch.setattr(metrics.Gauge, "set", record)
    monkeypatch.setattr(replica_module, "EXPORT_INTERVAL_S", 0)
    task = asyncio.create_task(export_operators(parts.responder._runtime))
    await twice.wait()
    task.cancel()
    assert found[:2] == [("fye_engine_operator", 1.0, {"operator": "lora"})] * 2
    found.clear()
    await parts.responder._sync.step()
    await parts.responder._sync.step()
    joy = ("fye_adapter_fallback", 0.0, {"persona": "joy"})
    assert found.count(joy) == 2


async def test_adapters_are_those_of_the_controller(parts: Parts) -> None:
    responder = parts.responder
    assert (await responder.adapter_status()).releases is INITIAL
    await responder.publish_adapter("folder")
    await responder.promote_adapter("joy@2")
    await responder.promote_adapter("joy@3", 0.1)
    await responder.roll_back_adapter("joy")
    assert parts.controller.changes == [
        ("publish", "folder"),
        ("promote", "joy@2"),
        ("promote", "joy@3", 0.1),
        ("rollback", "joy"),
    ]


async def test_personas_are_those_of_the_controller(parts: Parts) -> None:
    assert await parts.responder.personas.has("joy")
    assert not await parts.responder.personas.has("calm")


async def test_dead_engine_fails_the_health_check(parts: Parts) -> None:
    await parts.responder.check_health()
    parts.engine.dies_at_check = 2
    with pytest.raises(EngineDead):
        await parts.responder.check_health()


async def test_closing_stops_the_engine(parts: Parts) -> None:
    await parts.responder.close()
    assert parts.engine.stopped


async def test_replica_reports_before_it_serves_and_stops_when_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context_of_serve = SimpleNamespace(replica_id=SimpleNamespace(unique_id="one"))
    monkeypatch.setattr("ray.serve.get_replica_context", lambda: context_of_serve)
    controller = FakeController()
    replica: Any = ResponderReplica.__new__(ResponderReplica)
    await replica.__init__(CONFIG, FakeHandle(FakeStages()), FakeHandle(controller))
    assert [report.replica for report in controller.reports] == ["one"]
    answer = await replica.answer(message("Hm."), Collector())
    assert answer.adapter == "fear@scripted"
    await replica.__del__()
    await asyncio.sleep(0)
    assert all(task.cancelled() for task in replica._tasks)
    replica.__class__ = Responder  # it has been deleted once


async def test_replica_that_failed_to_start_can_be_deleted() -> None:
    replica: Any = ResponderReplica.__new__(ResponderReplica)
    await replica.__del__()
    replica.__class__ = Responder  # it has been deleted once


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[int]:
    """Exit statuses of the process, which goes on."""
    statuses = asyncio.Queue[int]()
    leave = SimpleNamespace(_exit=statuses.put_nowait)
    monkeypatch.setattr("serve.pipeline.replica.os", leave)
    monkeypatch.setattr(replica_module, "EXIT_DELAY_S", 0)
    return statuses


@pytest.fixture
def replica() -> Iterator[Any]:
    """Replica that has not been started."""
    replica: Any = ResponderReplica.__new__(ResponderReplica)
    yield replica
    replica.__class__ = Responder  # so that it has no asynchronous finalizer


async def test_process_exits_once_with_its_engine(
    parts: Parts, replica: Any, exits: asyncio.Queue[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_module, "ENGINE_CHECK_INTERVAL_S", 0.001)
    parts.engine.dies_at_check = 3
    monkeypatch.setattr(replica, "check_health", parts.responder.check_health)
    watch = asyncio.create_task(replica._exit_when_engine_dies())
    assert await exits.get() == 1
    assert parts.engine.checks >= 3
    checks = parts.engine.checks
    while parts.engine.checks < checks + 2:  # noqa: ASYNC110 (it has no event for it)
        await asyncio.sleep(0.001)
    assert exits.empty()
    watch.cancel()


async def test_whole_answers_get_no_response_when_the_engine_dies(
    replica: Any, exits: asyncio.Queue[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """HAProxy repeats a request whose connection is closed, but not one that got an error."""
    monkeypatch.setattr(Responder, "answer", fail_with_a_dead_engine)
    answering = asyncio.create_task(replica.answer(message("hello"), Collector()))
    assert await exits.get() == 1
    assert not answering.done()
    answering.cancel()


async def test_streams_end_with_an_error_before_the_process_exits(
    replica: Any, exits: asyncio.Queue[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Responder, "answer", fail_with_a_dead_engine)
    with pytest.raises(EngineDead):
        await replica.answer(message("hello"), RecordingWriter())
    assert exits.empty()
    assert await exits.get() == 1


async def fail_with_a_dead_engine(*_: object) -> None:
    raise EngineDead("dead")


def test_request_ids_are_unique_and_named_by_their_call() -> None:
    found = {new_request_id("m") for _ in range(100)}
    assert len(found) == 100
    assert all(name.startswith("m-") for name in found)
