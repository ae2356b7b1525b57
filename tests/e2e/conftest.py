"""Fixtures of the end-to-end tests: a graph with real weights, and tiny data for training."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from models.emotions import LABELS
from support.server_process import Server, start_server, stop_server

TIMEOUT_S = 120


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start the graph with real weights, once for all tests."""
    running = start_server(tmp_path_factory.mktemp("server") / "log.txt")
    yield running
    if running.process.poll() is None:
        stop_server(running)


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """Open a client of the graph."""
    with httpx.Client(base_url=server.url, timeout=TIMEOUT_S) as client:
        yield client


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Write a few invented rows in the layout of the public data sets."""
    root = tmp_path / "data"
    _write_emotion(root / "emotion")
    _write_emotion_unsplit(root / "emotion_unsplit")
    _write_goemotions(root / "goemotions")
    return root


def _write_emotion(folder: Path) -> None:
    folder.mkdir(parents=True)
    for split in ("train", "val", "test"):
        rows = [
            f"{split} {label} number {number};{label}" for label in LABELS for number in range(4)
        ]
        (folder / f"{split}.txt").write_text("\n".join(rows), "utf-8")


def _write_emotion_unsplit(folder: Path) -> None:
    folder.mkdir()
    rows = [f"unsplit {label} line,{label.id}" for label in LABELS]
    with gzip.open(folder / "train_noleak.csv.gz", "wt", encoding="utf-8") as stream:
        stream.write("\n".join(["text,label", *rows]))


def _write_goemotions(folder: Path) -> None:
    folder.mkdir()
    (folder / "emotions.txt").write_text("\n".join(LABELS), "utf-8")
    for split in ("train", "dev"):
        (folder / f"{split}.tsv").write_text(f"{split} of reddit\t0\tid\n", "utf-8")
