"""Growth measurements: the fitted service time, and the files that are written."""

import asyncio
import time
from contextlib import aclosing
from pathlib import Path
from xml.etree import ElementTree

import pytest

from load.growth.engine import Measurement, fit_token_time
from load.growth.result import draw_plots, exponents, read_result, write_result
from serve.engine.protocol import Sampling
from serve.engine.scripted import ScriptedEngine

MEASUREMENTS = [
    Measurement(
        size=size,
        tokens_per_s=20 * size**0.5,
        ttft_ms=100,
        tpot_ms=40 + 3 * size,
        memory_mib=900,
    )
    for size in (1, 2, 4, 8, 16)
]
SLOW_S = 30.0  # for a wait of milliseconds, on the slowest machine
GROWTH = dict.fromkeys(("adapters", "prompt", "concurrency", "replicas", "fast"), MEASUREMENTS)


def test_fits_the_token_time_over_concurrent_replies() -> None:
    assert fit_token_time(MEASUREMENTS) == pytest.approx((40, 3))


def test_fits_an_exponent_for_every_metric() -> None:
    found = exponents(MEASUREMENTS)
    assert found["tokens_per_s"] == pytest.approx(0.5)
    assert found["memory_mib"] == pytest.approx(0)


def test_result_survives_a_round_trip(tmp_path: Path) -> None:
    write_result(GROWTH, tmp_path / "growth.json")
    assert read_result(tmp_path / "growth.json") == GROWTH
    assert read_result(tmp_path / "none.json") == {}


def test_draws_a_plot_for_each_growth(tmp_path: Path) -> None:
    draw_plots(GROWTH, tmp_path)
    files = sorted(tmp_path.glob("growth-*.svg"))
    names = ["growth-adapters", "growth-concurrency", "growth-prompt", "growth-replicas"]
    assert [file.stem for file in files] == names
    for file in files:
        assert ElementTree.parse(file).getroot().tag.endswith("svg")  # noqa: S314 (our own file)
        assert file.stat().st_size < 60_000


async def scripted_reply_s(replies: int) -> float:
    """Measure the slowest of some concurrent replies of two tokens."""
    engine = ScriptedEngine(token_s=0.01, token_s_per_running=0.05)

    async def generate(number: int) -> float:
        started_s = time.monotonic()
        chunks = engine.generate(str(number), [], None, Sampling(max_tokens=2))
        async with aclosing(chunks):
            assert sum([chunk.tokens async for chunk in chunks]) == 2
        return time.monotonic() - started_s

    return max(await asyncio.gather(*(generate(number) for number in range(replies))))


async def test_scripted_token_takes_longer_for_each_running_reply() -> None:
    assert 2 * (0.01 + 0.05) <= await scripted_reply_s(1) < SLOW_S
    assert 2 * (0.01 + 3 * 0.05) <= await scripted_reply_s(3) < SLOW_S
