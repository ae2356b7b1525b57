"""Deadline of a request: late blocks are cancelled and become DeadlineExceeded."""

import asyncio
import time

import pytest

from serve.deadline import deadline
from serve.errors import DeadlineExceeded


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
