"""Signs of life: who waits for a stage's next item can tell one that is busy from one that hangs."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

Item = TypeVar("Item")
SIGN_S = 2.0  # as often a stage says that it is there, while an item takes its time
SILENT_S = 10.0  # after that long without a sign it hangs: what was not begun is asked elsewhere
LOST_S = 20.0  # what has begun is waited for longer, since it cannot be


async def with_signs(items: AsyncGenerator[Item], every_s: float = SIGN_S) -> AsyncGenerator[Item | None]:
    """The items, and None for each `every_s` in which the next of them has not come. Closes `items` in any case."""
    async with aclosing(items):
        while True:
            item = asyncio.ensure_future(anext(items))
            try:
                while not (await asyncio.wait({item}, timeout=every_s))[0]:
                    yield None
                yield item.result()
            except StopAsyncIteration:
                return
            finally:
                item.cancel()
                await asyncio.wait({item})
