"""Ends of requests: at their deadline, and when the server stops."""

import asyncio
import time

import pytest

from serve.deadline import RunningRequests, deadline
from serve.errors import DeadlineExceeded, NotReady


async def test_block_that_ends_in_time_is_left_alone() -> None:
    async with deadline(time.monotonic() + 5):
        assert await asyncio.sleep(0, "done") == "done"


class Hanging:
    """Work that never ends and records its steps."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    async def run(self, deadline_s: float) -> None:
        async with deadline(deadline_s):
            self.steps.append("started")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.steps.append("cancelled")
                raise


@pytest.mark.parametrize("left_s", [0.02, 0, -60])
async def test_late_block_is_cancelled(left_s: float) -> None:
    """A block whose deadline has passed is cancelled at its first wait."""
    work = Hanging()
    with pytest.raises(DeadlineExceeded):
        await work.run(time.monotonic() + left_s)
    assert work.steps == ["started", "cancelled"]


@pytest.mark.parametrize("error", [ValueError("no"), TimeoutError("its own")])
async def test_error_of_the_block_is_raised_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        async with deadline(time.monotonic() + 5):
            raise error
    assert raised.value is error


async def test_cancelled_task_stays_cancelled() -> None:
    async def late() -> None:
        async with deadline(time.monotonic() + 5):
            await asyncio.Event().wait()

    task = asyncio.create_task(late())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_running_requests_end_together_when_the_server_stops() -> None:
    running = RunningRequests()
    ended: list[int] = []

    async def request(number: int, left_s: float = 600) -> None:
        try:
            async with running.enter(), deadline(time.monotonic() + left_s):
                await asyncio.Event().wait()
        finally:
            ended.append(number)

    async def short() -> str:
        async with running.enter():
            return "done"

    assert await short() == "done"
    with pytest.raises(DeadlineExceeded):
        await request(0, left_s=0.01)
    tasks = [asyncio.create_task(request(number)) for number in (1, 2)]
    await asyncio.sleep(0)
    assert ended == [0]
    running.end_all()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in found] == [NotReady, NotReady]
    assert sorted(ended) == [0, 1, 2]


async def test_a_request_that_comes_after_the_end_does_not_start() -> None:
    running = RunningRequests()
    running.end_all()
    with pytest.raises(NotReady, match="the server stops"):
        async with running.enter():
            pytest.fail("it started")


async def test_a_second_end_does_not_interrupt_what_the_first_one_lets_a_request_do() -> None:
    running = RunningRequests()
    ended: list[str] = []

    async def request() -> None:
        async with running.enter():
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.01)
                ended.append("tidied up")

    task = asyncio.create_task(request())
    await asyncio.sleep(0)
    for _ in range(2):
        running.end_all()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    with pytest.raises(NotReady):
        await task
    assert ended == ["tidied up"]


async def test_timeout_of_a_request_itself_is_raised_as_it_is() -> None:
    with pytest.raises(TimeoutError, match="its own"):
        async with RunningRequests().enter():
            raise TimeoutError("its own")
