"""The stages as handles reach them: what is lost before it has begun is asked again, and counted."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import pytest
from ray.exceptions import RayActorError
from ray.serve import metrics
from ray.serve._private.common import DeploymentID
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from serve.detector.replica import Reading
from serve.errors import NotReady, Overloaded, ReplicaLost
from serve.pipeline import stage_client
from serve.pipeline.admission import Gate
from serve.pipeline.stage_client import RemoteStages
from serve.responder.replica import Ask, Piece
from support.fakes import ANSWER, FakeStages, message

ASK = Ask("a-1", None, message("Hm.").turns, message("Hm.").sampling, 60)
TRACE = {"traceparent": "00-1-2-01"}


class Pieces:
    """What a streaming handle returns."""

    def __init__(self, pieces: AsyncGenerator[Piece]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> "Pieces":
        return self

    async def __anext__(self) -> Piece:
        return await anext(self._pieces)

    def cancel(self) -> None:
        return


@dataclass
class Handle:
    """Both stages. The first `losses` calls are lost, after `pieces` of the answer."""

    losses: int = 0
    pieces: tuple[Piece, ...] = ()
    hangs: int = 0  # so many reads never end
    stages: FakeStages = field(default_factory=FakeStages)
    refuses: Exception | None = None

    def options(self, stream: bool) -> "Handle":
        return self

    @property
    def read(self) -> Any:
        return Call(self._read)

    @property
    def respond(self) -> Any:
        return Call(lambda ask: Pieces(self._respond(ask)))

    async def _read(self, texts: list[str], trace: dict[str, str]) -> list[Reading]:
        self._lose()
        self.hangs -= 1
        if self.hangs >= 0:
            await asyncio.Event().wait()
        return await self.stages.read(texts, trace)

    async def _respond(self, ask: Ask) -> AsyncGenerator[Piece]:
        for piece in self.pieces:
            yield piece
        self._lose()
        async for piece in self.stages.respond(ask):
            yield piece

    def _lose(self) -> None:
        if self.refuses:
            raise self.refuses
        self.losses -= 1
        if self.losses >= 0:
            raise RayActorError


@dataclass
class Call:
    remote: Any


@pytest.fixture
def retries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []

    def note(self: Any, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
        assert self.info["name"] == "fye_retries"
        found.append((tags or {})["stage"])

    monkeypatch.setattr(metrics.Counter, "inc", note)
    monkeypatch.setattr(stage_client, "AGAIN_S", 0)
    return found


def stages_of(handle: Handle) -> RemoteStages:
    return RemoteStages(handle, handle, Gate(9, 1), Gate(9, 1))  # type: ignore[arg-type]


@pytest.mark.parametrize("losses", [0, 1, 3])
async def test_texts_are_read_again_and_each_time_counted(retries: list[str], losses: int) -> None:
    handle = Handle(losses)
    assert len(await stages_of(handle).read(["a", "b"], TRACE)) == 2
    assert (retries, handle.stages.traces) == (["detector"] * losses, [TRACE])


async def test_texts_that_a_hanging_detector_holds_are_read_by_another(retries: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_client, "SILENT_S", 0.01)
    async with asyncio.timeout(5):
        assert len(await stages_of(Handle(0, hangs=1)).read(["a", "b"], TRACE)) == 2
    assert retries == ["detector"]


async def test_a_hedge_that_finds_no_place_leaves_the_first_call_its_own(retries: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_client, "SILENT_S", 0.01)
    handle = Handle()
    first, go_on = handle.stages.read, asyncio.Event()

    async def read(texts: list[str], trace: dict[str, str]) -> list[Reading]:
        handle.refuses = BackPressureError(9, 9)  # whoever comes next
        await go_on.wait()
        return await first(texts, trace)

    handle.stages.read = read  # type: ignore[method-assign]
    asyncio.get_running_loop().call_later(0.1, go_on.set)
    async with asyncio.timeout(5):
        assert len(await stages_of(handle).read(["a"], TRACE)) == 1
    assert retries == ["detector"]


@pytest.mark.parametrize("losses", [0, 2])
async def test_an_answer_that_was_not_begun_is_asked_again_and_each_time_counted(retries: list[str], losses: int) -> None:
    assert tuple([piece async for piece in stages_of(Handle(losses)).respond(ASK)]) == ANSWER
    assert retries == ["responder"] * losses


async def test_an_answer_that_has_begun_is_not_asked_again(retries: list[str]) -> None:
    with pytest.raises(ReplicaLost):
        [piece async for piece in stages_of(Handle(1, (Piece("Oh"),))).respond(ASK)]
    assert retries == []


async def test_a_full_stage_is_429_and_its_gate_says_when_to_return(retries: list[str]) -> None:
    now_s = 0.0
    answers, texts = (Gate(99, 1, lambda: now_s) for _ in range(2))
    for gate, each_s in ((answers, 2.0), (texts, 0.5)):
        for _ in range(3):
            with gate.enter():
                now_s += each_s
    handle: Any = Handle(refuses=BackPressureError(9, 9))
    stages = RemoteStages(handle, handle, answers, texts)
    with pytest.raises(Overloaded) as full, answers.enter(6):  # five wait, for two seconds each
        [piece async for piece in stages.respond(ASK)]
    assert full.value.retry_after_s > 9
    with pytest.raises(Overloaded) as full, texts.enter(5):
        await stages.read(["a"], TRACE)
    assert full.value.retry_after_s == 2
    assert retries == []


async def test_a_stage_that_has_failed_to_start_is_503(retries: list[str]) -> None:
    stages = stages_of(Handle(refuses=DeploymentUnavailableError(DeploymentID("Detector", "app"))))
    with pytest.raises(NotReady):
        await stages.read(["a"], TRACE)
    with pytest.raises(NotReady):
        [piece async for piece in stages.respond(ASK)]
