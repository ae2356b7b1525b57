"""Items of many calls in one batch: at once when idle, together when not, each with its own result."""

import asyncio

import pytest

from serve.detector.batcher import ContinuousBatcher


class Slow:
    """Doubles numbers, one batch after the other, each when it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Semaphore(0)

    async def __call__(self, numbers: list[int]) -> list[int]:
        self.batches.append(numbers)
        await self.go.acquire()
        if 13 in numbers:
            raise ValueError("thirteen")
        return [2 * number for number in numbers]


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_lone_call_is_computed_at_once_and_whole() -> None:
    slow = Slow()
    call = asyncio.create_task(ContinuousBatcher(slow, 8).of([1, 2, 3]))
    await turns()
    assert slow.batches == [[1, 2, 3]]
    slow.go.release()
    assert await call == [2, 4, 6]


async def test_what_waits_meanwhile_is_the_next_batch() -> None:
    slow = Slow()
    batches = ContinuousBatcher(slow, 3)
    calls = [asyncio.create_task(batches.of([1]))]
    await turns()
    for number in range(2, 6):
        calls.append(asyncio.create_task(batches.of([number])))
        await turns()
    for _ in range(3):
        slow.go.release()
    assert await asyncio.gather(*calls) == [[2], [4], [6], [8], [10]]
    assert slow.batches == [[1], [2, 3, 4], [5]]


async def test_a_failed_batch_fails_its_calls_and_no_other() -> None:
    slow = Slow()
    batches = ContinuousBatcher(slow, 2)
    calls = [asyncio.create_task(batches.of([number])) for number in (12, 13, 14)]
    await turns()
    for _ in range(2):
        slow.go.release()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one) for one in found] == [ValueError, ValueError, list]
    assert found[2] == [28]


async def test_who_leaves_takes_what_has_not_begun_along() -> None:
    slow = Slow()
    batches = ContinuousBatcher(slow, 8)
    first, leaving, staying = (asyncio.create_task(batches.of([number, number])) for number in (1, 2, 3))
    await turns()
    assert slow.batches == [[1, 1, 2, 2, 3, 3]]
    later, gone = asyncio.create_task(batches.of([4])), asyncio.create_task(batches.of([5]))
    await turns()
    leaving.cancel()
    gone.cancel()
    await turns()
    for _ in range(2):
        slow.go.release()
    assert await asyncio.gather(first, staying, later) == [[2, 2], [6, 6], [8]]
    assert slow.batches[1:] == [[4]]


@pytest.mark.parametrize("times", [1, 3])
async def test_it_rests_and_begins_again(times: int) -> None:
    slow = Slow()
    batches = ContinuousBatcher(slow, 8)
    for _ in range(times):
        slow.go.release()
        assert await batches.of([1]) == [2]
        await turns()
    assert await batches.of([]) == []
