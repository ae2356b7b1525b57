"""Growth: the service-time model that is fitted to the real engine, the scripted engine that keeps it, and what is left behind."""

import asyncio
import xml.etree.ElementTree as ElementTree
from contextlib import aclosing
from pathlib import Path

import pytest

from load.growth.engine import Size, fitted
from load.growth.result import draw, exponents, kept, write
from serve.engine import scripted
from serve.engine.protocol import Sampling
from serve.engine.scripted import ScriptedEngine

SIZES = [Size(size=size, tokens_per_s=20 * size**0.5, ttft_ms=100, tpot_ms=40 + 3 * size, memory_mib=900) for size in (1, 2, 4, 8, 16)]
GROWTHS = dict.fromkeys(("adapters", "prompt", "concurrency", "replicas", "fast"), SIZES)


def test_the_service_time_is_a_line_over_answers_at_once() -> None:
    assert fitted(SIZES) == pytest.approx((40, 3))


def test_exponents_are_of_everything_that_was_measured() -> None:
    found = exponents(SIZES)
    assert found["tokens_per_s"] == pytest.approx(0.5)
    assert found["memory_mib"] == pytest.approx(0)


def test_what_was_measured_is_kept_and_drawn(tmp_path: Path) -> None:
    write(GROWTHS, tmp_path / "growth.json")
    assert kept(tmp_path / "growth.json") == GROWTHS
    assert kept(tmp_path / "none.json") == {}
    draw(GROWTHS, tmp_path)
    files = sorted(tmp_path.glob("growth-*.svg"))
    assert [file.stem for file in files] == ["growth-adapters", "growth-concurrency", "growth-prompt", "growth-replicas"]
    for file in files:
        assert ElementTree.parse(file).getroot().tag.endswith("svg")  # noqa: S314 (our own file)
        assert file.stat().st_size < 60_000


async def test_a_token_takes_longer_for_each_answer_that_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    took_s: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        took_s.append(seconds)
        await sleep(0)

    monkeypatch.setattr(scripted.asyncio, "sleep", noted)
    engine = ScriptedEngine(token_s=1, places=3, beside_s=0.25)

    async def answer(number: int) -> None:
        async with aclosing(engine.generate(str(number), [], None, Sampling(max_tokens=2))) as pieces:
            assert [piece.tokens async for piece in pieces] == [1, 1]

    await answer(0)
    assert took_s == [1.25, 1.25], "itself counts"
    took_s.clear()
    await asyncio.gather(*(answer(number) for number in range(5)))
    assert max(took_s) == 1.75, "those that wait do not count"
    assert engine.stats().running == 0
