"""The deadline: what comes in time comes through, what does not is closed."""

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest

from serve.errors import DeadlineExceeded
from serve.streaming import until, within


class Source:
    """Gives numbers, one each `each_s`, and notes that it was closed."""

    def __init__(self, each_s: float, fails: Exception | None = None) -> None:
        self.each_s, self.fails, self.closed = each_s, fails, False

    async def numbers(self) -> AsyncGenerator[int]:
        try:
            for number in range(3):
                await asyncio.sleep(self.each_s)
                yield number
            if self.fails:
                raise self.fails
        finally:
            self.closed = True


async def test_what_comes_in_time_comes_through() -> None:
    source = Source(0)
    assert [number async for number in until(time.monotonic() + 5, source.numbers())] == [0, 1, 2]
    assert source.closed


async def read(numbers: AsyncGenerator[int], seen: list[int], each_s: float = 0) -> None:
    async for number in numbers:
        await asyncio.sleep(each_s)
        seen.append(number)


async def test_what_comes_late_is_closed() -> None:
    source, seen = Source(0.08), list[int]()
    with pytest.raises(DeadlineExceeded):
        await read(until(time.monotonic() + 0.12, source.numbers()), seen)
    assert seen == [0]
    assert source.closed


async def test_a_reader_that_takes_its_time_is_told_at_its_next_step_and_never_cancelled() -> None:
    source, seen = Source(0.01), list[int]()
    with pytest.raises(DeadlineExceeded):
        await read(until(time.monotonic() + 0.1, source.numbers()), seen, each_s=0.15)
    assert seen == [0]


async def test_leaving_early_closes_the_source() -> None:
    source = Source(0)
    items = until(time.monotonic() + 5, source.numbers())
    await anext(items)
    await items.aclose()
    assert source.closed


@pytest.mark.parametrize("error", [ValueError("no"), TimeoutError("its own")])
async def test_an_error_of_the_source_is_its_own(error: Exception) -> None:
    with pytest.raises(type(error)) as found:
        await read(until(time.monotonic() + 5, Source(0, error).numbers()), [])
    assert found.value is error


async def test_one_result() -> None:
    assert await within(time.monotonic() + 5, asyncio.sleep(0, "done")) == "done"
    with pytest.raises(DeadlineExceeded):
        await within(time.monotonic() + 0.02, asyncio.sleep(1))
    with pytest.raises(DeadlineExceeded):
        await within(time.monotonic() - 1, asyncio.sleep(1))
