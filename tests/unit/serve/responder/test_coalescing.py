"""A stream costs per piece: under load later deltas are joined, the first one never waits."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from models.emotions import Emotion
from models.prompt import Turn
from serve.capacity import derive_limits
from serve.config import ResponderConfig
from serve.engine.protocol import EngineStats, Sampling, TextChunk
from serve.engine.scripted import ScriptedEngine
from serve.responder.replica import Ask, Piece, Responder
from serve.responder.runtime import Backend, ScriptedEncoder
from serve.tracing import Carrier

CONFIG = ResponderConfig(kind="scripted", coalesce_ms=15, coalesce_from=8)
TOKENS = 12
ASK = Ask("a-1", Emotion.JOY, (Turn("user", "hello"),), Sampling(), 60)


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now_ms = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now_ms += 1000 * seconds


class PilingUp(ScriptedEngine):
    """Makes a token every 5 ms whether or not it is read, and hands over what there is in one delta, as vLLM does."""

    def __init__(self, clock: Clock, running: int, first: str = "0") -> None:
        super().__init__()
        self._clock, self._others, self._texts = clock, running, [first, *map(str, range(1, TOKENS))]

    async def generate(
        self, request_id: str, prompt: list[int], adapter: str | None, sampling: Sampling, trace: Carrier | None = None
    ) -> AsyncGenerator[TextChunk]:
        read = 0
        while read < TOKENS:
            made = min(int(self._clock.now_ms // 5) + 1, TOKENS)
            if made == read:
                self._clock.now_ms += 5
                continue
            text = " ".join(self._texts[read:made])
            yield TextChunk(text, made - read, "stop" if made == TOKENS else None)
            read = made

    def stats(self) -> EngineStats:
        return EngineStats(running=self._others, adapters=())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(asyncio, "sleep", clock.sleep)
    return clock


async def timed(clock: Clock, running: int, first: str = "0") -> list[tuple[float, Piece]]:
    parts = Backend(PilingUp(clock, running, first), ScriptedEncoder(), {}, derive_limits(CONFIG, []))
    return [(clock.now_ms, piece) async for piece in Responder(CONFIG, parts).respond(ASK)]


async def test_without_load_every_delta_is_passed_on_as_it_comes(clock: Clock) -> None:
    found = await timed(clock, running=7)
    assert [(when, piece.text) for when, piece in found] == [(5.0 * n, str(n)) for n in range(TOKENS)]


async def test_under_load_the_first_piece_does_not_wait_and_later_ones_are_joined(clock: Clock) -> None:
    found = await timed(clock, running=8)
    assert [(when, piece.text) for when, piece in found] == [(0, "0"), (15, "1 2 3"), (30, "4 5 6"), (45, "7 8 9"), (60, "10 11")]
    assert [piece.completion_tokens for _, piece in found] == [1, 4, 7, 10, TOKENS]
    assert [piece.finish_reason for _, piece in found] == [None] * 4 + ["stop"]


async def test_white_space_before_the_answer_is_no_first_piece(clock: Clock) -> None:
    """It is held back, and the first word still does not wait."""
    found = await timed(clock, running=8, first=" ")
    assert [(when, piece.text) for when, piece in found][:2] == [(5, "1"), (20, "2 3 4")]
