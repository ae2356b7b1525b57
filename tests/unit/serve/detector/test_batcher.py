"""Continuous batching: a lone call runs at once, concurrent calls share the next batch."""

import asyncio

import pytest

from serve.detector.batcher import ContinuousBatcher


class SlowDoubling:
    """Doubles numbers. Each batch waits until it is released, and 13 raises an error."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.released = asyncio.Semaphore(0)

    def release(self, batches: int = 1) -> None:
        for _ in range(batches):
            self.released.release()

    async def __call__(self, numbers: list[int]) -> list[int]:
        self.batches.append(numbers)
        await self.released.acquire()
        if 13 in numbers:
            raise ValueError("13")
        return [2 * number for number in numbers]


async def run_loop(turns: int = 5) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def test_lone_call_runs_at_once_as_one_batch() -> None:
    compute = SlowDoubling()
    call = asyncio.create_task(ContinuousBatcher(compute, 8).submit([1, 2, 3]))
    await run_loop()
    assert compute.batches == [[1, 2, 3]]
    compute.release()
    assert await call == [2, 4, 6]


async def test_items_that_arrive_during_a_batch_form_the_next() -> None:
    compute = SlowDoubling()
    batcher = ContinuousBatcher(compute, 3)
    calls = []
    for number in range(1, 6):
        calls.append(asyncio.create_task(batcher.submit([number])))
        await run_loop()
    compute.release(batches=3)
    assert await asyncio.gather(*calls) == [[2], [4], [6], [8], [10]]
    assert compute.batches == [[1], [2, 3, 4], [5]]


async def test_failed_batch_fails_only_its_own_calls() -> None:
    compute = SlowDoubling()
    batcher = ContinuousBatcher(compute, 2)
    calls = [asyncio.create_task(batcher.submit([number])) for number in (12, 13, 14)]
    await run_loop()
    compute.release(batches=2)
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one) for one in found] == [ValueError, ValueError, list]
    assert found[2] == [28]


async def test_cancelled_call_does_not_affect_its_batch() -> None:
    compute = SlowDoubling()
    batcher = ContinuousBatcher(compute, 8)
    first, cancelled, last = (
        asyncio.create_task(batcher.submit([number, number])) for number in (1, 2, 3)
    )
    await run_loop()
    assert compute.batches == [[1, 1, 2, 2, 3, 3]]
    cancelled.cancel()
    compute.release()
    assert list(await asyncio.gather(first, last)) == [[2, 2], [6, 6]]


async def test_cancelled_call_drops_its_queued_items() -> None:
    compute = SlowDoubling()
    batcher = ContinuousBatcher(compute, 8)
    running = asyncio.create_task(batcher.submit([1]))
    await run_loop()
    queued = asyncio.create_task(batcher.submit([4]))
    cancelled = asyncio.create_task(batcher.submit([5]))
    await run_loop()
    cancelled.cancel()
    compute.release(batches=2)
    assert list(await asyncio.gather(running, queued)) == [[2], [8]]
    assert compute.batches == [[1], [4]]


@pytest.mark.parametrize("times", [1, 3])
async def test_worker_restarts_after_it_was_idle(times: int) -> None:
    compute = SlowDoubling()
    batcher = ContinuousBatcher(compute, 8)
    for _ in range(times):
        compute.release()
        assert await batcher.submit([1]) == [2]
        await run_loop()


async def test_a_lower_lane_goes_first_and_shares_no_batch() -> None:
    compute = SlowDoubling()
    batcher = ContinuousBatcher(compute, 4)
    calls = [asyncio.create_task(batcher.submit([1] * 6, lane=2))]
    await run_loop()
    calls += [
        asyncio.create_task(batcher.submit([number], lane)) for number, lane in ((3, 1), (2, 0))
    ]
    await run_loop()
    compute.release(batches=4)
    await asyncio.gather(*calls)
    assert compute.batches == [[1] * 4, [2], [3], [1] * 2]


async def test_a_batch_has_a_limit_of_weight_but_at_least_one_item() -> None:
    compute = SlowDoubling()
    batcher = ContinuousBatcher(compute, 8, weigh=lambda number: number, max_weight=6)
    call = asyncio.create_task(batcher.submit([1, 2, 3, 4, 9, 1]))
    await run_loop()
    compute.release(batches=4)
    assert await call == [2, 4, 6, 8, 18, 2]
    assert compute.batches == [[1, 2, 3], [4], [9], [1]]


async def test_call_without_items_returns_nothing() -> None:
    assert await ContinuousBatcher(SlowDoubling(), 8).submit([]) == []
