"""The detector stage without weights: order, batches, and one thread that computes."""

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.emotions import LABELS, Emotion
from serve.config import DetectorConfig
from serve.detector.protocol import Detection
from serve.detector.replica import Detector
from serve.detector.scripted import ScriptedClassifier

CONFIG = DetectorConfig(kind="scripted", batch_size=8)


class LengthReader:
    """A row says how long its text was. Records batches and threads."""

    name = "length"

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()

    def read(self, texts: list[str]) -> list[Detection]:
        self.batches.append(texts)
        self.threads.add(threading.get_ident())
        return [Detection((float(len(text)),) * 6) for text in texts]


@pytest.fixture
def reader() -> LengthReader:
    return LengthReader()


@pytest.fixture
def detector(reader: LengthReader) -> Detector:
    """A replica whose batches are handed to it: forming them needs Serve."""
    detector = Detector(CONFIG)
    detector._reader = reader
    return detector


async def test_a_batch_is_computed_by_length_and_returned_in_order(detector: Detector, reader: LengthReader) -> None:
    """Texts of like length are padded less."""
    texts = ["x" * ((7 * number) % 41) for number in range(41)]
    assert [reading.scores[0] for reading in await detector._batch(texts)] == [len(text) for text in texts]
    assert reader.batches == [sorted(texts, key=len)]


async def test_computing_happens_in_one_other_thread(detector: Detector, reader: LengthReader) -> None:
    await asyncio.gather(*(detector._batch(["x"]) for _ in range(5)))
    assert len(reader.threads) == 1
    assert threading.get_ident() not in reader.threads


async def test_the_loop_is_free_while_a_batch_is_computed(detector: Detector) -> None:
    free = threading.Event()

    class Waiting(LengthReader):
        def read(self, texts: list[str]) -> list[Detection]:
            assert free.wait(timeout=5)
            return super().read(texts)

    detector._reader = Waiting()
    task = asyncio.create_task(detector._batch(["x"]))
    await asyncio.sleep(0)
    free.set()
    assert await task == [Detection((1.0,) * 6)]


async def test_scores_that_are_not_one_a_text_are_an_error(detector: Detector) -> None:
    class Short(LengthReader):
        def read(self, texts: list[str]) -> list[Detection]:
            return super().read(texts)[1:]

    detector._reader = Short()
    with pytest.raises(ValueError, match="zip"):
        await detector._batch(["x", "xx"])


async def test_a_reading_says_who_read_it() -> None:
    assert [reading.reader for reading in await Detector(CONFIG).read(["a", "b"], {})] == ["scripted"] * 2


@pytest.mark.parametrize("label", LABELS)
def test_the_scripted_reader_finds_the_emotion_that_a_text_names(label: Emotion) -> None:
    [reading] = ScriptedClassifier().read([f"I feel {label.upper()} today"])
    assert reading.scores.index(max(reading.scores)) == label.id
    assert reading.harm is None


@given(texts=st.lists(st.text(max_size=20), max_size=6))
def test_the_scripted_reader_is_deterministic_and_sums_to_one(texts: list[str]) -> None:
    rows = ScriptedClassifier().read(texts)
    assert rows == [ScriptedClassifier().read([text])[0] for text in texts]
    assert all(len(row.scores) == len(LABELS) and abs(sum(row.scores) - 1) < 1e-9 for row in rows)
