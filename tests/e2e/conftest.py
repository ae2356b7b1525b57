"""The graph with real weights, started once, and tiny data for training."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from models.emotions import LABELS
from support.server_process import Server, start_server, stop_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = start_server(tmp_path_factory.mktemp("server") / "log.txt")
    yield running
    if running.process.poll() is None:
        stop_server(running)


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=120) as client:
        yield client


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A few invented lines in the layout of the public sets."""
    root = tmp_path / "data"
    (root / "emotion").mkdir(parents=True)
    for split in ("train", "val", "test"):
        lines = (f"{split} {label} number {number};{label}" for label in LABELS for number in range(4))
        (root / "emotion" / f"{split}.txt").write_text("\n".join(lines), "utf-8")
    (root / "emotion_unsplit").mkdir()
    with gzip.open(root / "emotion_unsplit" / "train_noleak.csv.gz", "wt", encoding="utf-8") as stream:
        stream.write("text,label\n" + "\n".join(f"unsplit {label} line,{label.id}" for label in LABELS))
    (root / "goemotions").mkdir()
    (root / "goemotions" / "emotions.txt").write_text("\n".join(LABELS), "utf-8")
    for split in ("train", "dev"):
        (root / "goemotions" / f"{split}.tsv").write_text(f"{split} of reddit\t0\tid\n", "utf-8")
    return root
