"""Signs of life: who waits for the first item of a stage can tell one that is busy from one that hangs."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

Item = TypeVar("Item")
SIGN_S = 1.0  # as often a stage says that it is there, while its first item takes its time
SILENT_S = 10.0  # after that long without a sign it hangs


async def with_signs(items: AsyncGenerator[Item], every_s: float = SIGN_S) -> AsyncGenerator[Item | None]:
    """The items, and None for each `every_s` in which the first of them has not come. Closes `items` in any case."""
    async with aclosing(items):
        first = asyncio.ensure_future(anext(items))
        try:
            while not (await asyncio.wait({first}, timeout=every_s))[0]:
                yield None
            yield first.result()
        except StopAsyncIteration:
            return
        finally:
            first.cancel()
            await asyncio.wait({first})
        async for item in items:
            yield item
