"""One deadline from the socket to the engine. What is not done by then is closed, and closing ends it in every stage."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import TypeVar

from serve.errors import DeadlineExceeded

Item = TypeVar("Item")


async def until(deadline_s: float, items: AsyncGenerator[Item]) -> AsyncGenerator[Item]:
    """The items that come before `deadline_s` of `time.monotonic`. Raises DeadlineExceeded at that time; closes `items` in any case.

    The clock runs while an item is awaited, never while the reader is busy with one: a timeout there would cancel the reader.
    """
    async with aclosing(items):
        while True:
            try:
                item = await within(deadline_s, anext(items))
            except StopAsyncIteration:
                return
            yield item


async def within(deadline_s: float, result: Awaitable[Item]) -> Item:
    """The result, if it comes before `deadline_s` of `time.monotonic`. Raises DeadlineExceeded."""
    clock = asyncio.timeout(max(deadline_s - time.monotonic(), 0))
    try:
        async with clock:
            return await result
    except TimeoutError as error:
        if not clock.expired():
            raise
        raise DeadlineExceeded("the request took longer than its timeout") from error
