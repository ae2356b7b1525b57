"""Cache of blends: bounded, least recently used first, and never one that answers."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from models.errors import ArtifactError
from serve.engine.protocol import BlendParts
from serve.engine.scripted import ScriptedEngine
from serve.responder.blend_cache import BlendCache

PARTS = (("joy@1", 0.5), ("fear@1", 0.5))


class SlowEngine(ScriptedEngine):
    """Engine that loads blends when the test lets it, and records what it does."""

    def __init__(self) -> None:
        super().__init__(("joy@1", "fear@1"), token_s=0)
        self.may_load = asyncio.Event()
        self.may_load.set()
        self.loaded: list[str] = []
        self.fails = False

    async def load_blend(self, name: str, parts: BlendParts) -> None:
        """Load once allowed."""
        self.loaded.append(name)
        await self.may_load.wait()
        if self.fails:
            raise ArtifactError("the engine rejected it")
        await super().load_blend(name, parts)

    @property
    def blends(self) -> tuple[str, ...]:
        """Resident blends."""
        return self.stats().blends


async def use(cache: BlendCache, *names: str) -> None:
    for name in names:
        async with cache.using(name, PARTS):
            pass


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_blend_is_made_once_and_stays() -> None:
    engine = SlowEngine()
    await use(BlendCache(engine, 2), "a", "a", "b", "a")
    assert engine.loaded == ["a", "b"]
    assert engine.blends == ("a", "b")


async def test_the_least_recently_used_blend_is_evicted_and_never_a_version() -> None:
    engine = SlowEngine()
    await use(BlendCache(engine, 2), "a", "b", "a", "c")
    assert engine.blends == ("a", "c")
    assert engine.stats().adapters == ("fear@1", "joy@1")


async def test_a_blend_that_answers_is_not_evicted() -> None:
    engine = SlowEngine()
    cache = BlendCache(engine, 2)
    async with cache.using("a", PARTS):
        await use(cache, "b", "c")
        assert engine.blends == ("a", "c")


async def test_a_request_waits_while_every_slot_answers() -> None:
    engine = SlowEngine()
    cache = BlendCache(engine, 1)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(cache.using("a", PARTS))
        waiting = asyncio.create_task(use(cache, "b"))
        await settle()
        assert engine.blends == ("a",)
        await use(cache, "a")  # one that is resident does not queue behind it
    await waiting
    assert engine.blends == ("b",)


async def test_requests_for_one_blend_share_its_making() -> None:
    engine = SlowEngine()
    cache = BlendCache(engine, 1)
    engine.may_load.clear()
    tasks = [asyncio.create_task(use(cache, "a")) for _ in range(3)]
    await settle()
    engine.may_load.set()
    await asyncio.gather(*tasks)
    assert engine.loaded == ["a"]


async def test_a_cancelled_request_leaves_no_blend_half_loaded() -> None:
    engine = SlowEngine()
    cache = BlendCache(engine, 1)
    engine.may_load.clear()
    task = asyncio.create_task(use(cache, "a"))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    engine.may_load.set()
    await settle()
    await use(cache, "b")
    assert engine.blends == ("b",)


async def test_a_cancelled_request_that_waited_for_a_slot_takes_none() -> None:
    engine = SlowEngine()
    cache = BlendCache(engine, 1)
    async with cache.using("a", PARTS):
        task = asyncio.create_task(use(cache, "b"))
        await settle()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await settle()
    assert engine.loaded == ["a"]
    await use(cache, "c")
    assert engine.blends == ("c",)


async def test_a_blend_that_cannot_be_made_is_an_error_and_takes_no_slot() -> None:
    engine = SlowEngine()
    cache = BlendCache(engine, 1)
    engine.fails = True
    with pytest.raises(ArtifactError, match="rejected"):
        await use(cache, "a")
    engine.fails = False
    await use(cache, "b")
    assert engine.blends == ("b",)
    await use(cache, "a")
    assert engine.blends == ("a",)


async def test_many_requests_share_few_slots() -> None:
    engine = SlowEngine()
    cache = BlendCache(engine, 3)
    most = 0

    async def answer(number: int) -> None:
        nonlocal most
        async with cache.using(f"blend {number % 10}", PARTS):
            await asyncio.sleep(0)
            assert f"blend {number % 10}" in engine.blends
            most = max(most, len(engine.blends))

    await asyncio.gather(*(answer(number) for number in range(60)))
    assert most == 3
