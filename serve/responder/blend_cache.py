"""Blends that are resident in the engine: made on first use, the least recently used one evicted.

They have slots of their own, so a blend never evicts a version of a persona.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serve.engine.protocol import BlendParts, Engine


class BlendCache:
    """Bounded cache of blends. A blend that answers is never evicted."""

    def __init__(self, engine: Engine, slots: int) -> None:
        """Keep up to `slots` blends resident in `engine`."""
        self._engine = engine
        self._slots = slots
        self._resident: OrderedDict[str, None] = OrderedDict()  # the least recently used first
        self._users: Counter[str] = Counter()  # requests that use a blend, or wait for it
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._changing = asyncio.Lock()
        self._released = asyncio.Event()

    @asynccontextmanager
    async def using(self, name: str, parts: BlendParts) -> AsyncIterator[None]:
        """Make a blend resident, and keep it so until the block ends.

        While every slot is in use by other requests, it waits.

        Raises:
            ArtifactError: the engine cannot make it.
            InvalidRequest: its rank is too high.
            EngineError: one of its parts is not resident.
        """
        self._users[name] += 1
        try:
            while name not in self._resident:
                # Shielded: a request that is cancelled must not leave a blend half loaded.
                await asyncio.shield(self._load_once(name, parts))
            self._resident.move_to_end(name)
            yield
        finally:
            self._users[name] -= 1
            if not self._users[name]:
                del self._users[name]
                self._released.set()

    def _load_once(self, name: str, parts: BlendParts) -> asyncio.Task[None]:
        """Return the task that loads a blend. All requests for it share one."""
        if name not in self._loading:
            task = asyncio.create_task(self._load(name, parts))
            self._loading[name] = task
            task.add_done_callback(lambda done: self._loaded(name, done))
        return self._loading[name]

    def _loaded(self, name: str, task: asyncio.Task[None]) -> None:
        del self._loading[name]
        if not task.cancelled():
            task.exception()  # no one else reads it if every request has left

    async def _load(self, name: str, parts: BlendParts) -> None:
        async with self._changing:
            while len(self._resident) >= self._slots:
                await self._evict_one()
            if self._users[name]:
                await self._engine.load_blend(name, parts)
                self._resident[name] = None

    async def _evict_one(self) -> None:
        """Unload the least recently used blend that does not answer, or wait for one."""
        unused = next((name for name in self._resident if not self._users[name]), None)
        if unused is None:
            self._released.clear()
            await self._released.wait()
        else:
            del self._resident[unused]
            await self._engine.unload(unused)
