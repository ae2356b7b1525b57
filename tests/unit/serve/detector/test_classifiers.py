"""Classifier with weights: what each part gets, and how many threads it uses."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import pytest
import torch

from models.detector.base import TextEmotion
from models.prompt import Turn
from models.safety.classifier import Safety
from models.safety.levels import CONCERN
from serve.config import DetectorConfig
from serve.detector.classifiers import SMALL_BATCH, ModelClassifier

SCORES = (0.5, 0.1, 0.1, 0.1, 0.1, 0.1)


class FakeModel:
    """Detector artifact that records its texts and the number of torch threads of each batch."""

    manifest = SimpleNamespace(base="none", content_hash="0" * 64)

    def __init__(self) -> None:
        self.threads: list[int] = []
        self.texts: list[str] = []

    def classify(self, texts: Sequence[str]) -> list[TextEmotion]:
        self.threads.append(torch.get_num_threads())
        self.texts += texts
        return [TextEmotion(SCORES, len(text) < 100) for text in texts]


class FakeSafety:
    """Safety classifier that finds a concern in every conversation of several turns."""

    def __init__(self, device: str) -> None:
        self.device = device

    def classify(self, conversations: Sequence[Sequence[Turn]]) -> list[Safety]:
        return [Safety(CONCERN if len(turns) > 1 else None, True) for turns in conversations]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeModel]:
    before = torch.get_num_threads()
    fake = FakeModel()
    monkeypatch.setattr("models.detector.factory.open_classifier", lambda *_: fake)
    monkeypatch.setattr("models.safety.classifier.SafetyClassifier", FakeSafety)
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


def test_emotion_is_that_of_the_normalized_last_turn(model: FakeModel) -> None:
    turns = (Turn("user", "one"), Turn("assistant", "yes?"), Turn("user", "nooooo \U0001f62d"))
    [found] = ModelClassifier(DetectorConfig()).classify([turns])
    assert model.texts == ["no loudly crying face"]
    assert (found.scores, found.finding) == (SCORES, CONCERN)


def test_safety_is_not_checked_if_it_is_off(model: FakeModel) -> None:
    turns = (Turn("user", "one"), Turn("assistant", "yes?"), Turn("user", "two"))
    [found] = ModelClassifier(DetectorConfig(harm="off")).classify([turns])
    assert found.finding is None


def test_other_languages_and_unread_texts_are_marked(model: FakeModel) -> None:
    english, german, long = ModelClassifier(DetectorConfig()).classify(
        ["I am so tired of this rain.", "Ich bin so müde von diesem Regen.", "so tired " * 20]
    )
    assert (english.language, english.reliable, english.complete) == ("en", True, True)
    assert (german.language, german.reliable) == ("de", False)
    assert not long.complete
