"""Scripted engine: its schedule, the length of its answers, its slots and its adapters."""

import asyncio
import os
import signal
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.prompt import Turn
from serve.engine import scripted
from serve.engine.protocol import Sampling, TextChunk, TokenLogprob
from serve.engine.scripted import ScriptedEncoder, ScriptedEngine, script
from serve.errors import EngineError
from support.adapters import adapter
from support.fakes import SCRIPTED_TOKENS, FakeClock

TOKEN_S = 0.01
JOY = adapter("joy").manifest.versioned_name


class FakeAsyncio:
    """Part of asyncio that the engine uses, on a clock that a test sets."""

    Semaphore = asyncio.Semaphore

    def __init__(self, clock: FakeClock) -> None:
        self.time = clock
        self._clock = clock

    def get_running_loop(self) -> "FakeAsyncio":
        return self

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self._clock.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Clock of the engine. Waiting takes no time."""
    clock = FakeClock(0)
    monkeypatch.setattr(scripted, "asyncio", FakeAsyncio(clock))
    return clock


async def read(
    engine: ScriptedEngine, adapter: str | None = None, **sampling: Any
) -> list[TextChunk]:
    """Read a whole answer."""
    chunks = engine.generate("r", [1], adapter, Sampling(**sampling))
    return [chunk async for chunk in chunks]


def joined(chunks: list[TextChunk]) -> tuple[str, int]:
    """Return the text of chunks and the number of their tokens."""
    return "".join(chunk.text for chunk in chunks), sum(chunk.tokens for chunk in chunks)


async def test_token_becomes_due_every_interval(clock: FakeClock) -> None:
    seen = list[float]()
    async for chunk in ScriptedEngine(token_s=TOKEN_S).generate("r", [1], None, Sampling()):
        seen.append(clock.now_s)
        assert chunk.tokens == 1
    assert seen == pytest.approx([TOKEN_S * number for number in range(1, SCRIPTED_TOKENS + 1)])


async def test_unread_tokens_are_joined(clock: FakeClock) -> None:
    chunks = list[TextChunk]()
    async for chunk in ScriptedEngine(token_s=TOKEN_S).generate("r", [1], None, Sampling()):
        chunks.append(chunk)
        clock.now_s += 3.5 * TOKEN_S
    # A reader that is away for 3.5 intervals finds three or four tokens.
    assert {chunk.tokens for chunk in chunks[1:-1]} == {3, 4}
    assert joined(chunks) == (f" {script(None)}", SCRIPTED_TOKENS)
    assert [chunk.finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]


async def test_schedule_does_not_wait_for_its_reader(clock: FakeClock) -> None:
    engine = ScriptedEngine(token_s=TOKEN_S)
    async with aclosing(engine.generate("r", [1], None, Sampling())) as chunks:
        await anext(chunks)
        clock.now_s += 60
        rest = await anext(chunks)
    assert (rest.tokens, rest.finish_reason) == (SCRIPTED_TOKENS - 1, "stop")


async def test_tokens_take_longer_when_more_answers_are_written(clock: FakeClock) -> None:
    engine = ScriptedEngine(token_s=TOKEN_S, token_s_per_running=TOKEN_S)
    await read(engine, max_tokens=2)
    assert clock.now_s == pytest.approx(2 * 2 * TOKEN_S)
    clock.now_s = 0
    async with aclosing(engine.generate("other", [1], None, Sampling())) as other:
        await anext(other)
        began_s = clock.now_s
        async with aclosing(engine.generate("r", [1], None, Sampling())) as chunks:
            await anext(chunks)
        assert clock.now_s - began_s == pytest.approx(3 * TOKEN_S)


async def test_answers_beyond_its_slots_wait() -> None:
    engine = ScriptedEngine(token_s=0.001, slots=1)
    async with aclosing(engine.generate("first", [1], None, Sampling())) as first:
        await anext(first)
        second = asyncio.create_task(read(engine))
        done, _ = await asyncio.wait({second}, timeout=0.05)
        assert not done
        assert engine.stats().running == 2
    assert joined(await second)[1] == SCRIPTED_TOKENS
    assert engine.stats().running == 0


async def test_cancelled_answer_that_waits_takes_no_slot() -> None:
    engine = ScriptedEngine(token_s=0, slots=1)
    async with aclosing(engine.generate("first", [1], None, Sampling(max_tokens=1))) as first:
        await anext(first)
        waiting = asyncio.create_task(read(engine))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert engine.stats().running == 0
    assert joined(await read(engine))[1] == SCRIPTED_TOKENS


async def test_closed_answer_is_not_running_any_more(clock: FakeClock) -> None:
    engine = ScriptedEngine(token_s=TOKEN_S, token_s_per_running=1)
    async with aclosing(engine.generate("r", [1], None, Sampling())) as chunks:
        await anext(chunks)
        assert engine.stats().running == 1
    assert engine.stats().running == 0
    clock.now_s = 0
    await read(engine, max_tokens=1)
    assert clock.now_s == pytest.approx(TOKEN_S + 1)


@pytest.mark.parametrize(
    ("sampling", "tokens", "reason"),
    [
        ({}, SCRIPTED_TOKENS, "stop"),
        ({"max_tokens": 1}, 1, "length"),
        ({"max_tokens": SCRIPTED_TOKENS}, SCRIPTED_TOKENS, "stop"),
        ({"ignore_eos": True, "max_tokens": 50}, 50, "length"),
        ({"min_tokens": 30}, 30, "stop"),
        ({"min_tokens": 3, "max_tokens": 3}, 3, "length"),
        ({"stop": ("[base",)}, 1, "stop"),
        ({"stop": (" hear",)}, 2, "stop"),
        ({"stop": (" hear", "[base")}, 1, "stop"),
        ({"stop": (" never",)}, SCRIPTED_TOKENS, "stop"),
        ({"stop": (" hear",), "ignore_eos": True}, 2, "stop"),
        ({"stop": (" hear",), "ignore_eos": True, "min_tokens": 3}, SCRIPTED_TOKENS + 2, "stop"),
    ],
    ids=str,
)
async def test_length_of_an_answer_follows_its_sampling(
    sampling: dict[str, Any], tokens: int, reason: str
) -> None:
    """The script's tokens, or fewer, or the script again; up to a late enough stop string."""
    chunks = await read(ScriptedEngine(token_s=0), **sampling)
    assert (joined(chunks)[1], chunks[-1].finish_reason) == (tokens, reason)


@given(
    max_tokens=st.integers(1, 60),
    min_tokens=st.integers(0, 60),
    ignore_eos=st.booleans(),
    stop=st.sampled_from([(), (" every",), ("word", " it,"), ("zzz",)]),
)
def test_answer_keeps_the_contract_of_an_engine(
    max_tokens: int, min_tokens: int, ignore_eos: bool, stop: tuple[str, ...]
) -> None:
    least = min(min_tokens, max_tokens)
    chunks = asyncio.run(
        read(
            ScriptedEngine(token_s=0),
            max_tokens=max_tokens,
            min_tokens=least,
            ignore_eos=ignore_eos,
            stop=stop,
        )
    )
    text, tokens = joined(chunks)
    assert max(least, 1) <= tokens <= max_tokens
    assert chunks[-1].finish_reason in {"stop", "length"}
    if chunks[-1].finish_reason == "length":
        assert tokens == max_tokens
    if stop and not least:
        assert not any(string in text for string in stop)


async def test_stop_string_is_not_part_of_the_answer() -> None:
    text, _ = joined(await read(ScriptedEngine(token_s=0), stop=("ear you",)))
    assert text == " [base] I h"


async def test_answer_names_its_adapter_first_and_last() -> None:
    text, _ = joined(await read(ScriptedEngine((JOY,), 0), JOY))
    assert text.split()[0] == text.split()[-1] == f"[{JOY}]"


async def test_adapter_must_be_resident() -> None:
    with pytest.raises(EngineError, match="not resident"):
        await read(ScriptedEngine(token_s=0), JOY)


async def test_adapter_must_stay_resident(clock: FakeClock) -> None:
    engine = ScriptedEngine((JOY,), TOKEN_S)
    chunks = engine.generate("r", [1], JOY, Sampling())
    await anext(chunks)
    await engine.unload(JOY)
    with pytest.raises(EngineError, match="not resident"):
        await anext(chunks)
    assert engine.stats().running == 0


async def test_loads_and_unloads_adapters() -> None:
    engine = ScriptedEngine()
    await engine.load(adapter("joy"))
    assert engine.stats().adapters == (JOY,)
    await engine.unload("unknown")
    await engine.unload(JOY)
    assert engine.stats().adapters == ()


async def test_adapter_changes_the_next_tokens() -> None:
    engine = ScriptedEngine((JOY,))
    assert await engine.next_token_logprobs([1], JOY) != await engine.next_token_logprobs([1], None)


async def test_starts_stops_and_stays_healthy() -> None:
    engine = ScriptedEngine()
    await engine.start()
    await engine.health()
    await engine.stop()
    assert engine.operators == {}


@pytest.mark.parametrize(("speaker", "same"), [("Joy", True), ("Fear", False)])
def test_encoder_distinguishes_prompts(speaker: str, same: bool) -> None:
    turns = [Turn("user", "good day")]
    joy = ScriptedEncoder().prompt("Joy", turns)
    other = ScriptedEncoder().prompt(speaker, turns)
    assert len(joy) == 3
    assert joy[:2] == other[:2]
    assert (joy[2] == other[2]) is same


async def test_log_probabilities_are_plausible_and_the_same_each_time() -> None:
    async def tokens(top: int | None) -> list[TokenLogprob]:
        chunks = ScriptedEngine(token_s=0).generate("r", [1], None, Sampling(logprobs=top))
        return [token async for chunk in chunks for token in chunk.logprobs]

    found = await tokens(5)
    assert "".join(token.text for token in found) == f" {script(None)}"
    assert found == await tokens(5)
    for token in found:
        assert -1 < token.logprob < 0
        values = [logprob for _, logprob in token.top]
        assert (len(values), values) == (5, sorted(values, reverse=True))
        assert token.top[0] == (token.text, token.logprob)
    assert [token.top for token in await tokens(0)] == [()] * len(found)
    assert await tokens(None) == []


async def test_candidates_are_whole_answers_that_differ(clock: FakeClock) -> None:
    chunks = await read(ScriptedEngine((JOY,), TOKEN_S), JOY, n=3)
    assert [chunk.text for chunk in chunks] == [f" {script(JOY, number)}" for number in range(3)]
    assert len({chunk.text for chunk in chunks}) == 3
    assert [chunk.tokens for chunk in chunks] == [SCRIPTED_TOKENS] * 3
    assert {chunk.finish_reason for chunk in chunks} == {"stop"}
    assert clock.now_s == pytest.approx(TOKEN_S * SCRIPTED_TOKENS)  # they are written together


async def test_candidates_are_cut_each_for_itself(clock: FakeClock) -> None:
    chunks = await read(ScriptedEngine((), TOKEN_S), n=2, max_tokens=4, stop=("#1",))
    assert [chunk.finish_reason for chunk in chunks] == ["length", "stop"]
    assert [chunk.tokens for chunk in chunks] == [4, 2]


async def test_poison_kills_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    killed = list[tuple[int, int]]()
    monkeypatch.setattr(os, "kill", lambda *call: killed.append(call))
    engine = ScriptedEngine(token_s=0, poison="die")
    await read(engine, stop=("live",))
    assert killed == []
    await read(engine, stop=("live", "die"))
    assert killed == [(os.getpid(), signal.SIGKILL)]
