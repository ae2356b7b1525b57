"""Classifier with weights: small batches use few threads, large ones use what is configured."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import pytest
import torch

from serve.config import DetectorConfig
from serve.detector.classifiers import SMALL_BATCH, ModelClassifier


class FakeModel:
    """Detector artifact that records the number of torch threads of each batch."""

    manifest = SimpleNamespace(base="none", content_hash="0" * 64)

    def __init__(self) -> None:
        self.threads: list[int] = []

    def forward(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        self.threads.append(torch.get_num_threads())
        return torch.zeros(len(texts), 6), torch.zeros(len(texts), 2)

    def calibrated(self, logits: torch.Tensor) -> torch.Tensor:
        return logits


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeModel]:
    before = torch.get_num_threads()
    fake = FakeModel()
    monkeypatch.setattr("models.detector.factory.open_classifier", lambda *_: fake)
    monkeypatch.setattr("serve.detector.classifiers.usable_cores", lambda: 3)
    yield fake
    torch.set_num_threads(before)


@pytest.mark.parametrize(("batch_threads", "used"), [(0, 3), (2, 2)])
def test_only_large_batches_use_batch_threads(
    model: FakeModel, batch_threads: int, used: int
) -> None:
    config = DetectorConfig(threads=1, batch_threads=batch_threads, harm="off")
    classifier = ModelClassifier(config)
    for count in (1, SMALL_BATCH, SMALL_BATCH + 1, 2):
        assert len(classifier.classify(["text"] * count)) == count
    assert model.threads == [1, 1, used, 1]
