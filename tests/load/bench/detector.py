"""Detector over HTTP, compared with its model alone and with a `transformers` pipeline."""

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

from load.bench.goals import Goal, from_rounds
from load.harness.arrivals import client_session
from load.harness.graph import PORT
from load.harness.outcomes import percentile
from load.harness.workload import synthetic_requests
from serve.config import DetectorConfig
from serve.detector.classifiers import load_classifier
from serve.detector.protocol import Classifier

BATCH = 32  # texts per call
CALLERS = 4
MEASURE_S = 5.0
SINGLES = 100  # calls with one text
SERVER = Path(__file__).with_name("transformers_server.py")
STOP_TIMEOUT_S = 30
POLL_S = 0.5


def texts(seed: int, count: int) -> list[str]:
    """Generate texts."""
    return [request.text for request in itertools.islice(synthetic_requests(seed), count)]


async def single_text_ms(url: str) -> float:
    """Measure the median latency of `/v1/detect` with one text, one call after the other."""
    times_ms = []
    async with client_session() as session:
        for text in texts(1, SINGLES):
            started_s = time.monotonic()
            await _detect(session, url, [text])
            times_ms.append((time.monotonic() - started_s) * 1000)
    return percentile(times_ms, 0.5)


async def http_texts_per_s(url: str, seed: int) -> float:
    """Measure texts per second of several callers with a batch in each call."""
    end_s = time.monotonic() + MEASURE_S
    async with client_session() as session:

        async def run_caller(number: int) -> int:
            done = 0
            while time.monotonic() < end_s:
                await _detect(session, url, texts(seed + number + done, BATCH))
                done += BATCH
            return done

        counts = await asyncio.gather(*(run_caller(number) for number in range(CALLERS)))
    return sum(counts) / MEASURE_S


async def _detect(session: aiohttp.ClientSession, url: str, batch: list[str]) -> None:
    async with session.post(f"{url}/v1/detect", json={"text": batch}) as response:
        response.raise_for_status()
        await response.read()


def model_texts_per_s(classifier: Classifier, seed: int) -> float:
    """Measure texts per second of the model alone, with the replica's threads and batches."""
    end_s = time.monotonic() + MEASURE_S
    done = 0
    while time.monotonic() < end_s:
        classifier.classify(texts(seed + done, BATCH))
        done += BATCH
    return done / MEASURE_S


def compare_detector(url: str, config: DetectorConfig, rounds: int) -> list[Goal]:
    """Measure the three in interleaved rounds, and the latency of single texts."""
    classifier = load_classifier(config)
    ours = []
    model = []
    pipeline = []
    single_ms = []
    with transformers_server(config) as peer:
        for number in range(rounds):
            model.append(model_texts_per_s(classifier, number))
            ours.append(asyncio.run(http_texts_per_s(url, number)))
            pipeline.append(asyncio.run(http_texts_per_s(peer, number)))
            single_ms.append(asyncio.run(single_text_ms(url)))
    of_model = [a / b for a, b in zip(ours, model, strict=True)]
    of_pipeline = [a / b for a, b in zip(ours, pipeline, strict=True)]
    return [
        from_rounds("detector over HTTP, 32 texts a call / model alone", of_model, "x", 0.85),
        from_rounds("detector over HTTP / transformers pipeline", of_pipeline, "x", 5),
        from_rounds("detector, one text, p50", single_ms, "ms", 6, at_most=True),
        from_rounds("detector over HTTP", ours, "texts/s"),
    ]


@contextmanager
def transformers_server(config: DetectorConfig) -> Iterator[str]:
    """Run the peer with the same weights in the layout of `transformers`; yields its URL."""
    from models.detector.transformer import TransformerClassifier

    with tempfile.TemporaryDirectory() as folder:
        classifier = TransformerClassifier(config.folder)
        classifier.model.float().save_pretrained(folder)
        classifier.tokenizer.save_pretrained(folder)
        port = PORT + 2
        url = f"http://127.0.0.1:{port}"
        # -P: the script's own folder has a `profile.py`, which would hide that of Python.
        command = [sys.executable, "-P", str(SERVER), folder, str(port)]
        process = subprocess.Popen(command, env=dict(os.environ))
        try:
            _wait_ready(url, process)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=STOP_TIMEOUT_S)


def _wait_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            httpx.get(f"{url}/healthz", timeout=5)
            return
        except httpx.TransportError:
            time.sleep(POLL_S)
    raise RuntimeError(f"the transformers server exited with status {process.returncode}")
