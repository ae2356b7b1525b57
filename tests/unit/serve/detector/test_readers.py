"""How many threads a detector takes: few texts leave the cores to the engine, many take what there is."""

import os
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
import torch

from serve.config import DetectorConfig
from serve.detector.readers import ModelClassifier, SMALL_BATCH


class Classifier:
    """Sees how many threads torch has while it reads."""

    manifest = SimpleNamespace(base="none", content_hash="0" * 64)

    def __init__(self) -> None:
        self.threads: list[int] = []

    def forward(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        self.threads.append(torch.get_num_threads())
        return torch.zeros(len(texts), 6), torch.zeros(len(texts), 2)

    def calibrated(self, logits: torch.Tensor) -> torch.Tensor:
        return logits


@pytest.mark.parametrize(("batch_threads", "many"), [(0, 3), (2, 2)])
def test_few_texts_take_few_threads(batch_threads: int, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier, before = Classifier(), torch.get_num_threads()
    monkeypatch.setattr("models.detector.factory.open_classifier", lambda *_: classifier)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    reader = ModelClassifier(DetectorConfig(threads=1, batch_threads=batch_threads, harm="off"))
    try:
        for count in (1, SMALL_BATCH, SMALL_BATCH + 1, 2):
            assert len(reader.read(["text"] * count)) == count
    finally:
        torch.set_num_threads(before)
    assert classifier.threads == [1, 1, many, 1]
