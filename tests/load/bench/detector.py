"""The detector over HTTP, beside the raw model at the same batch, and beside a `transformers` pipeline behind FastAPI."""

import asyncio
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import httpx

from load.bench.goals import Goal, measured
from load.harness.arrivals import session
from load.harness.graph import PORT
from load.harness.outcomes import percentile
from load.harness.workload import mixed
from serve.config import DetectorConfig
from serve.detector.protocol import Classifier
from serve.detector.readers import load_classifier

BATCH, CALLERS = 32, 4
MEASURE_S = 5.0
SINGLES = 100
SERVER = Path(__file__).with_name("transformers_server.py")


def texts(seed: int, count: int) -> list[str]:
    return [asked.text for asked in itertools.islice(mixed(seed), count)]


async def single_ms(url: str) -> float:
    """Median time of `/v1/detect` with one text, one call after the other, in milliseconds."""
    times_ms = []
    async with session() as client:
        for text in texts(1, SINGLES):
            began_s = time.monotonic()
            await _detect(client, url, [text])
            times_ms.append((time.monotonic() - began_s) * 1000)
    return percentile(times_ms, 0.5)


async def over_http(url: str, seed: int) -> float:
    """Texts a second, some callers with 32 texts a call each."""
    end_s, done = time.monotonic() + MEASURE_S, 0
    async with session() as client:

        async def caller(number: int) -> int:
            mine = 0
            while time.monotonic() < end_s:
                await _detect(client, url, texts(seed + number + mine, BATCH))
                mine += BATCH
            return mine

        done = sum(await asyncio.gather(*(caller(number) for number in range(CALLERS))))
    return done / MEASURE_S


async def _detect(client: aiohttp.ClientSession, url: str, batch: list[str]) -> None:
    async with client.post(f"{url}/v1/detect", json={"text": batch}) as reply:
        reply.raise_for_status()
        await reply.read()


def raw(reader: Classifier, seed: int) -> float:
    """Texts a second of the model alone, with the replica's threads, 32 texts at once."""
    end_s, done = time.monotonic() + MEASURE_S, 0
    while time.monotonic() < end_s:
        reader.read(texts(seed + done, BATCH))
        done += BATCH
    return done / MEASURE_S


def compared(url: str, config: DetectorConfig, rounds: int) -> list[Goal]:
    """Interleaved rounds of the three, and single texts."""
    reader = load_classifier(config)
    ours, alone, peers, singles = [], [], [], []
    with pipeline_server(config) as peer:
        for number in range(rounds):
            alone.append(raw(reader, number))
            ours.append(asyncio.run(over_http(url, number)))
            peers.append(asyncio.run(over_http(peer, number)))
            singles.append(asyncio.run(single_ms(url)))
    return [
        measured("detector over HTTP, 32 texts a call, of the raw model", [a / b for a, b in zip(ours, alone, strict=True)], 0.85, "x"),
        measured("detector over HTTP, of a pipeline behind FastAPI", [a / b for a, b in zip(ours, peers, strict=True)], 5, "x"),
        measured("detector, one text, p50", singles, 6, "ms", at_most=True),
        measured("detector over HTTP", ours, None, "texts/s"),
    ]


@contextmanager
def pipeline_server(config: DetectorConfig) -> Iterator[str]:
    """The same weights, saved as `transformers` saves them."""
    from models.detector.transformer import TransformerClassifier

    with tempfile.TemporaryDirectory() as folder:
        classifier = TransformerClassifier(config.folder)
        classifier.model.float().save_pretrained(folder)
        classifier.tokenizer.save_pretrained(folder)
        port = PORT + 2
        process = subprocess.Popen([sys.executable, str(SERVER), folder, str(port)], env=dict(os.environ))
        try:
            _wait(f"http://127.0.0.1:{port}/healthz", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            httpx.get(url, timeout=5)
            return
        except httpx.TransportError:
            time.sleep(0.5)
    raise RuntimeError("the pipeline's server did not start")
