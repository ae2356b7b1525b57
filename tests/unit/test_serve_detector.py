"""The detector stage without weights: order, batches, and one thread that computes."""

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.emotions import LABELS, Emotion
from serve.config import DetectorConfig
from serve.detector import Detector, Scores, ScriptedScorer

CONFIG = DetectorConfig(kind="scripted", batch_size=8, batch_wait_ms=1)


class LengthScorer:
    """A row says how long its text was. Records batches and threads."""

    name = "length"

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()

    def scores(self, texts: list[str]) -> list[Scores]:
        self.batches.append(texts)
        self.threads.add(threading.get_ident())
        return [(float(len(text)),) * 6 for text in texts]


@pytest.fixture
def scorer() -> LengthScorer:
    return LengthScorer()


@pytest.fixture
def detector(scorer: LengthScorer) -> Detector:
    """A replica whose batches are handed to it: forming them needs Serve."""
    detector = Detector(CONFIG)
    detector._scorer = scorer
    return detector


async def test_a_batch_is_computed_by_length_and_returned_in_order(detector: Detector, scorer: LengthScorer) -> None:
    """Texts of like length are padded less."""
    texts = ["x" * ((7 * number) % 41) for number in range(41)]
    assert [row[0] for row in await detector._score(texts)] == [len(text) for text in texts]
    assert scorer.batches == [sorted(texts, key=len)]


async def test_computing_happens_in_one_other_thread(detector: Detector, scorer: LengthScorer) -> None:
    await asyncio.gather(*(detector._score(["x"]) for _ in range(5)))
    assert len(scorer.threads) == 1
    assert threading.get_ident() not in scorer.threads


async def test_the_loop_is_free_while_a_batch_is_computed(detector: Detector) -> None:
    free = threading.Event()

    class Waiting(LengthScorer):
        def scores(self, texts: list[str]) -> list[Scores]:
            assert free.wait(timeout=5)
            return super().scores(texts)

    detector._scorer = Waiting()
    task = asyncio.create_task(detector._score(["x"]))
    await asyncio.sleep(0)
    free.set()
    assert await task == [(1.0,) * 6]


async def test_scores_that_are_not_one_a_text_are_an_error(detector: Detector) -> None:
    class Short(LengthScorer):
        def scores(self, texts: list[str]) -> list[Scores]:
            return super().scores(texts)[1:]

    detector._scorer = Short()
    with pytest.raises(ValueError, match="zip"):
        await detector._score(["x", "xx"])


async def test_it_says_what_classifies() -> None:
    assert await Detector(CONFIG).describe() == "scripted"


@pytest.mark.parametrize("label", LABELS)
def test_the_scripted_scorer_finds_the_emotion_that_a_text_names(label: Emotion) -> None:
    [row] = ScriptedScorer().scores([f"I feel {label.upper()} today"])
    assert row.index(max(row)) == label.id


@given(texts=st.lists(st.text(max_size=20), max_size=6))
def test_the_scripted_scorer_is_deterministic_and_sums_to_one(texts: list[str]) -> None:
    rows = ScriptedScorer().scores(texts)
    assert rows == [ScriptedScorer().scores([text])[0] for text in texts]
    assert all(len(row) == len(LABELS) and abs(sum(row) - 1) < 1e-9 for row in rows)
