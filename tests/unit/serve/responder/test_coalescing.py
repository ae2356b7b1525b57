"""Joining of chunks under load; the first text never waits."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from models.emotions import Emotion
from models.prompt import Turn
from serve.adapters.registry import Releases, ReplicaReport
from serve.capacity import derive_limits
from serve.config import NO_TRACES, ResponderConfig
from serve.engine.protocol import EngineStats, Sampling, TextChunk
from serve.engine.scripted import ScriptedEncoder, ScriptedEngine
from serve.responder import generator as generator_module
from serve.responder.adapter_sync import AdapterSync
from serve.responder.generator import Generator
from serve.responder.protocol import GenerationRequest
from serve.responder.runtime import Runtime
from serve.telemetry.tracing import Tracing
from support.fakes import FakeClock

CONFIG = ResponderConfig(kind="scripted", coalesce_ms_per_running=1.5, coalesce_max_ms=30)
TOKENS = 12
TOKEN_MS = 5
REQUEST = GenerationRequest("a-1", Emotion.JOY, (Turn("user", "hello"),), Sampling())
Timed = list[tuple[float, str]]  # milliseconds since the start, and text


class LoadedEngine(ScriptedEngine):
    """Engine that makes a token every 5 ms and hands over all that there are, as vLLM does."""

    def __init__(self, clock: FakeClock, running: int, first: str) -> None:
        super().__init__()
        self._clock = clock
        self._running_now = running
        self._texts = [first, *map(str, range(1, TOKENS))]

    async def generate(self, *_: Any) -> AsyncGenerator[TextChunk]:
        read = 0
        while read < TOKENS:
            made = min(round(self._clock.now_s * 1000) // TOKEN_MS + 1, TOKENS)
            if made == read:
                self._clock.pass_ms(TOKEN_MS)
                continue
            text = " ".join(self._texts[read:made])
            yield TextChunk(text, made - read, "stop" if made == TOKENS else None)
            read = made

    def stats(self) -> EngineStats:
        return EngineStats(running=self._running_now, adapters=())


async def chunks_of(
    monkeypatch: pytest.MonkeyPatch, running: int, first: str = "0"
) -> list[tuple[int, TextChunk]]:
    """Return the chunks of one answer and their times in ms while `running` are generated."""
    clock = FakeClock(0)

    class FakeAsyncio:
        sleep = staticmethod(clock.sleep)

    monkeypatch.setattr(generator_module, "asyncio", FakeAsyncio)
    engine = LoadedEngine(clock, running, first)
    runtime = Runtime(engine, ScriptedEncoder(), {"joy": "joy@1"}, derive_limits(CONFIG, []))

    async def reconcile(report: ReplicaReport) -> Releases:
        return Releases()

    sync = AdapterSync(runtime, "one", reconcile)
    generator = Generator(CONFIG, runtime, sync, Tracing(NO_TRACES, "responder"))
    chunks = (await generator.generate(REQUEST)).chunks
    return [(round(clock.now_s * 1000), chunk) async for chunk in chunks]


async def test_without_load_every_token_is_sent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await chunks_of(monkeypatch, running=7)
    expected = [(TOKEN_MS * number, str(number)) for number in range(TOKENS)]
    assert [(at_ms, chunk.text) for at_ms, chunk in found] == expected


@pytest.mark.parametrize(
    ("running", "expected"),
    [
        (8, [(0, "0"), (12, "1 2"), (24, "3 4"), (36, "5 6 7"), (48, "8 9"), (60, "10 11")]),
        (10, [(0, "0"), (15, "1 2 3"), (30, "4 5 6"), (45, "7 8 9"), (60, "10 11")]),
        (20, [(0, "0"), (30, "1 2 3 4 5 6"), (60, "7 8 9 10 11")]),
        (1000, [(0, "0"), (30, "1 2 3 4 5 6"), (60, "7 8 9 10 11")]),  # coalesce_max_ms
    ],
)
async def test_under_load_later_chunks_are_joined(
    monkeypatch: pytest.MonkeyPatch, running: int, expected: list[tuple[int, str]]
) -> None:
    found = await chunks_of(monkeypatch, running)
    assert [(at_ms, chunk.text) for at_ms, chunk in found] == expected
    assert sum(chunk.tokens for _, chunk in found) == TOKENS
    reasons = [chunk.finish_reason for _, chunk in found]
    assert reasons == [None] * (len(found) - 1) + ["stop"]


async def test_white_space_before_the_text_is_removed_and_delays_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = await chunks_of(monkeypatch, running=10, first=" ")
    texts = [(at_ms, chunk.text, chunk.tokens) for at_ms, chunk in found]
    assert texts[:3] == [(0, "", 1), (5, "1", 1), (20, "2 3 4", 3)]
