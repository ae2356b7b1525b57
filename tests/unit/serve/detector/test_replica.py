"""Detector replica without weights: order of the results, batches, and the worker thread."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from models.prompt import Turn
from serve.capacity.meters import DetectorMeter
from serve.config import DetectorConfig
from serve.detector import replica
from serve.detector.protocol import Detection, Input, length_of
from serve.detector.replica import Detector
from support.fakes import FakeClock

CONFIG = DetectorConfig(kind="scripted", batch_size=64)


class LengthClassifier:
    """Classifier whose scores are the length of the text. It records batches and threads."""

    name = "length"

    def __init__(self) -> None:
        self.batches: list[list[Input]] = []
        self.threads: set[int] = set()

    def classify(self, inputs: Sequence[Input]) -> list[Detection]:
        self.batches.append(list(inputs))
        self.threads.add(threading.get_ident())
        return [Detection((float(length_of(given)),) * 6) for given in inputs]


class WaitingClassifier(LengthClassifier):
    """Classifier that blocks its thread until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.started = threading.Event()
        self.released = threading.Event()

    def classify(self, inputs: Sequence[Input]) -> list[Detection]:
        self.started.set()
        assert self.released.wait(timeout=5)
        return super().classify(inputs)


class ShortClassifier(LengthClassifier):
    """Broken classifier that returns one detection too few."""

    def classify(self, inputs: Sequence[Input]) -> list[Detection]:
        return super().classify(inputs)[1:]


def detector(classifier: LengthClassifier, monkeypatch: pytest.MonkeyPatch) -> Detector:
    monkeypatch.setattr(replica, "load_classifier", lambda _config: classifier)
    return Detector(CONFIG)


async def test_classifies_by_length_and_returns_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = LengthClassifier()
    texts = ["x" * ((7 * number) % 41) for number in range(41)]
    found = await detector(classifier, monkeypatch).classify(texts, {})
    assert [one.scores[0] for one in found] == [len(text) for text in texts]
    assert classifier.batches == [sorted(texts, key=len)]


async def test_classifies_in_one_other_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = LengthClassifier()
    tested = detector(classifier, monkeypatch)
    for _ in range(5):
        await tested.classify(["x"], {})
    assert len(classifier.threads) == 1
    assert threading.get_ident() not in classifier.threads


async def test_event_loop_is_free_during_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = WaitingClassifier()
    task = asyncio.create_task(detector(classifier, monkeypatch).classify(["x"], {}))
    assert await asyncio.to_thread(classifier.started.wait, 30)
    assert not task.done()
    classifier.released.set()
    assert await task == [Detection((1.0,) * 6, model="length")]


async def test_missing_detections_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="zip"):
        await detector(ShortClassifier(), monkeypatch).classify(["x", "xx"], {})


async def test_detections_name_their_model() -> None:
    found = await Detector(CONFIG).classify(["a", "b"], {})
    assert [one.model for one in found] == ["scripted"] * 2


async def test_ping_returns() -> None:
    await Detector(CONFIG).ping()


async def test_reports_its_load_to_the_scaling_policy() -> None:
    tested = Detector(CONFIG)
    assert await tested.record_autoscaling_stats() == {"busy": 0, "texts_per_s": 0}
    await tested.classify(["a", "b"], {})
    assert (await tested.record_autoscaling_stats())["texts_per_s"] > 0


class SlowCritic:
    """Critic that computes for a second of a clock."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    def score(self, turns: tuple[Turn, ...], answers: Sequence[str]) -> list[float]:
        self.clock.pass_ms(1000)
        return [0.0] * len(answers)


async def test_time_in_the_queue_is_not_computing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(replica, "load_critic", lambda _folder, _config: SlowCritic(clock))
    monkeypatch.setattr(replica, "DetectorMeter", lambda: DetectorMeter(clock))
    tested = Detector(CONFIG, critic=Path("critic"))
    clock.pass_ms(10_000)
    turns = (Turn("user", "hello"),)
    calls = (tested.score(turns, ["a", "b"], {}) for _ in range(5))
    await asyncio.gather(*calls)
    load = await tested.record_autoscaling_stats()
    assert load["busy"] == pytest.approx(5 / 15)  # five seconds of fifteen
    assert load["texts_per_s"] == pytest.approx(10 / 15)
