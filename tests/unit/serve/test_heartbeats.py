"""Signs of life, and who waits for them: a replica that is busy is waited for, one that hangs is not."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from ray.exceptions import WorkerCrashedError

from models.emotions import Emotion
from models.prompt import Turn
from serve.engine.protocol import Sampling
from serve.errors import EngineDead, ReplicaLost
from serve.heartbeats import with_signs
from serve.pipeline import stage_client
from serve.pipeline.admission import Gate
from serve.pipeline.stage_client import RemoteStages
from serve.responder.replica import SIGN, Ask, Piece

ASK = Ask("a-1", Emotion.JOY, (Turn("user", "hello"),), Sampling(), 60)
SILENT_S = 0.2
TEXT = (Piece("Oh"), Piece("", "stop", 1, 1))


async def after(wait_s: float, *items: str) -> AsyncGenerator[str]:
    await asyncio.sleep(wait_s)
    for item in items:
        await asyncio.sleep(wait_s)
        yield item


async def test_there_are_signs_before_each_item_that_takes_its_time() -> None:
    found = [item async for item in with_signs(after(0.05, "a", "b"), every_s=0.02)]
    assert [item for item in found if item] == ["a", "b"]
    assert 2 <= found.index("a") <= 5
    assert 1 <= found.index("b") - found.index("a") - 1 <= 3


async def test_there_is_no_sign_where_items_come_fast() -> None:
    assert [item async for item in with_signs(after(0, "a", "b"), every_s=1)] == ["a", "b"]


async def test_what_has_nothing_ends_and_what_fails_fails() -> None:
    async def fails() -> AsyncGenerator[str]:
        raise EngineDead("dead")
        yield ""

    assert [item async for item in with_signs(after(0.01))] == []
    with pytest.raises(EngineDead):
        [item async for item in with_signs(fails())]


async def test_closing_it_closes_what_it_waits_for() -> None:
    closed = []

    async def waits() -> AsyncGenerator[str]:
        try:
            await asyncio.sleep(60)
            yield ""
        finally:
            closed.append(True)

    signs = with_signs(waits(), every_s=0.01)
    assert await anext(signs) is None
    await signs.aclose()
    assert closed == [True]


class Handle:
    """A responder's handle: one way of answering for each time that it is asked, the last one for all that follow."""

    def __init__(self, *ways: Callable[[], AsyncGenerator[Piece]]) -> None:
        self._ways = ways
        self.asked: list[Ask] = []
        self.cancelled = 0
        self.respond = self

    def options(self, stream: bool) -> "Handle":
        return self

    def remote(self, ask: Ask) -> "_Pieces":
        self.asked.append(ask)
        return _Pieces(self, self._ways[min(len(self.asked), len(self._ways)) - 1]())


class _Pieces:
    def __init__(self, handle: Handle, pieces: AsyncGenerator[Piece]) -> None:
        self._handle, self._pieces = handle, pieces

    def __aiter__(self) -> "_Pieces":
        return self

    async def __anext__(self) -> Piece:
        return await anext(self._pieces)

    def cancel(self) -> None:
        self._handle.cancelled += 1


async def hangs() -> AsyncGenerator[Piece]:
    await asyncio.sleep(60)
    yield Piece("never")


async def is_busy() -> AsyncGenerator[Piece]:
    for _ in range(4):
        await asyncio.sleep(SILENT_S / 2)
        yield SIGN
    async for piece in writes():
        yield piece


async def writes() -> AsyncGenerator[Piece]:
    for piece in TEXT:
        yield piece


async def has_a_dead_engine() -> AsyncGenerator[Piece]:
    raise EngineDead("dead")
    yield SIGN


async def dies() -> AsyncGenerator[Piece]:
    raise WorkerCrashedError
    yield SIGN


async def hangs_writing() -> AsyncGenerator[Piece]:
    yield Piece("Oh")
    await asyncio.sleep(60)


async def dies_writing() -> AsyncGenerator[Piece]:
    yield Piece("Oh")
    raise EngineDead("dead")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_client, "SILENT_S", SILENT_S)
    monkeypatch.setattr(stage_client, "LOST_S", 2 * SILENT_S)


async def pieces_of(handle: Any) -> list[Piece]:
    return [piece async for piece in RemoteStages(handle, handle, Gate(9, 1), Gate(9, 1)).respond(ASK)]


async def test_a_replica_that_gives_signs_is_waited_for() -> None:
    handle = Handle(is_busy, hangs)
    assert await pieces_of(handle) == list(TEXT)
    assert len(handle.asked) == 1


@pytest.mark.parametrize("first", [hangs, has_a_dead_engine])
async def test_what_was_not_begun_on_a_replica_that_hangs_or_has_lost_its_engine_is_asked_again(first: Any) -> None:
    handle = Handle(first, writes)
    assert await pieces_of(handle) == list(TEXT)
    assert (len(handle.asked), handle.cancelled) == (2, 2)
    assert handle.asked[1].timeout_s < handle.asked[0].timeout_s <= ASK.timeout_s


async def test_a_request_that_replica_after_replica_dies_of_is_given_up() -> None:
    handle = Handle(dies, dies, writes)
    assert await pieces_of(handle) == list(TEXT)
    handle = Handle(dies)
    with pytest.raises(ReplicaLost):
        await pieces_of(handle)
    assert len(handle.asked) == stage_client.DEATHS


@pytest.mark.parametrize("first", [dies_writing, hangs_writing])
async def test_what_was_begun_is_not_asked_again(first: Any) -> None:
    handle = Handle(first, writes)
    with pytest.raises(ReplicaLost):
        await pieces_of(handle)
    assert len(handle.asked) == 1
