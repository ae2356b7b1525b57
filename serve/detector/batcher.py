"""Continuous batching: items that arrive while a batch is running form the next batch.

Ray Serve's own `@serve.batch` closes a batch before the previous one is done. Under load, a model
that takes longer than the wait between two calls then gets them one by one. Here a batch is closed
only when it is about to run.

Items wait in lanes. A batch takes items of one lane, the first that has any: bulk work with long
texts neither delays nor pads what somebody waits for. A batch also has a limit of weight, so that
it never runs for long.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class ContinuousBatcher(Generic[Item, Result]):
    """Collects items of concurrent calls into batches, and runs one batch at a time."""

    def __init__(
        self,
        compute: Callable[[list[Item]], Awaitable[list[Result]]],
        max_batch_size: int,
        weigh: Callable[[Item], int] = lambda _item: 0,
        max_weight: int = 0,
    ) -> None:
        """Create a batcher.

        Args:
            compute: returns one result per item, in the order of the items.
            max_batch_size: largest number of items given to `compute` at once.
            weigh: returns the weight of an item.
            max_weight: of a batch with more than one item.
        """
        self._compute = compute
        self._max_batch_size = max_batch_size
        self._weigh = weigh
        self._max_weight = max_weight
        self._lanes: dict[int, deque[tuple[Item, asyncio.Future[Result]]]] = {}
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, items: Iterable[Item], lane: int = 0) -> list[Result]:
        """Return the results of the items, in their order. Lower lanes are served first.

        If the caller is cancelled, its items that have not started are dropped from the queue.
        An exception raised by `compute` is raised in every caller of that batch.
        """
        loop = asyncio.get_running_loop()
        entries = [(item, loop.create_future()) for item in items]
        self._lanes.setdefault(lane, deque()).extend(entries)
        if self._worker is None:
            # An empty context, because the worker serves all callers, not the one that started it.
            self._worker = loop.create_task(self._run(), context=Context())
        return list(await asyncio.gather(*(future for _, future in entries)))

    async def _run(self) -> None:
        try:
            while batch := self._next_batch():
                await self._run_batch(batch)
        finally:
            self._worker = None

    def _next_batch(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        for _, lane in sorted(self._lanes.items()):
            if batch := self._take(lane):
                return batch
        return []

    def _take(
        self, lane: deque[tuple[Item, asyncio.Future[Result]]]
    ) -> list[tuple[Item, asyncio.Future[Result]]]:
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        weight = 0
        while lane and len(batch) < self._max_batch_size:
            item, future = lane[0]
            weight += self._weigh(item)
            if batch and weight > self._max_weight:
                break
            lane.popleft()
            if not future.done():
                batch.append((item, future))
        return batch

    async def _run_batch(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        items = [item for item, _ in batch]
        [results] = await asyncio.gather(self._compute(items), return_exceptions=True)
        # A future is already done here if its caller was cancelled while the batch was running.
        if isinstance(results, BaseException):
            for _, future in batch:
                if not future.done():
                    future.set_exception(results)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
