"""Items of many calls, computed together: what waits when a batch is done is the next one, and nothing waits while nothing is computed.

Serve's own batching closes each batch before the one ahead of it is done, so that under load a model that takes longer than the wait
between two calls is given them one by one. Here a batch is only closed when its turn has come.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from typing import Generic, TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")


class Batches(Generic[Item, Found]):
    """`compute` gets at most `most` items and returns one result for each. One batch is computed at a time."""

    def __init__(self, compute: Callable[[list[Item]], Awaitable[list[Found]]], most: int) -> None:
        self._compute, self._most = compute, most
        self._waiting: deque[tuple[Item, asyncio.Future[Found]]] = deque()
        self._working: asyncio.Task[None] | None = None

    async def of(self, items: Iterable[Item]) -> list[Found]:
        """The results of one call's items, in their order. Raises what `compute` raises. A caller that leaves takes its items along."""
        loop = asyncio.get_running_loop()
        mine = [(item, loop.create_future()) for item in items]
        self._waiting.extend(mine)
        if self._working is None:
            self._working = loop.create_task(self._work(), context=Context())  # it serves every call, so it is part of none
        return list(await asyncio.gather(*(future for _, future in mine)))

    async def _work(self) -> None:
        try:
            while batch := self._next():
                await self._one(batch)
        finally:
            self._working = None

    def _next(self) -> list[tuple[Item, asyncio.Future[Found]]]:
        batch: list[tuple[Item, asyncio.Future[Found]]] = []
        while self._waiting and len(batch) < self._most:
            item, future = self._waiting.popleft()
            if not future.done():
                batch.append((item, future))
        return batch

    async def _one(self, batch: list[tuple[Item, asyncio.Future[Found]]]) -> None:
        [found] = await asyncio.gather(self._compute([item for item, _ in batch]), return_exceptions=True)
        if isinstance(found, BaseException):
            for _, future in batch:
                if not future.done():  # whoever asked may have left
                    future.set_exception(found)
            return
        for (_, future), result in zip(batch, found, strict=True):
            if not future.done():
                future.set_result(result)
