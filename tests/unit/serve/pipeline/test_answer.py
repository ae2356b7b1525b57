"""State of an answer: emotion scores, parts of its time, text."""

import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.emotions import LABELS, Emotion
from serve.engine.protocol import TextChunk
from serve.pipeline.answer import (
    PARTS,
    Answer,
    Collector,
    EmotionScores,
    Timer,
    chosen_emotion,
    emotion_scores,
)
from serve.pipeline.messages import RequestContext
from support.fakes import FakeClock, message


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6))
def test_label_is_that_of_the_highest_reported_score(row: list[float]) -> None:
    found = emotion_scores(tuple(row))
    assert list(found.scores) == list(LABELS)
    assert found.score == found.scores[found.label] == max(found.scores.values())


@pytest.mark.parametrize("count", [5, 7])
def test_rejects_scores_of_another_length(count: int) -> None:
    with pytest.raises(ValueError, match="zip"):
        emotion_scores((0.1,) * count)


@pytest.mark.parametrize("emotion", LABELS)
def test_chosen_emotion_is_certain(emotion: Emotion) -> None:
    scores = {label: float(label is emotion) for label in LABELS}
    assert chosen_emotion(emotion) == EmotionScores(emotion, 1.0, scores)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr("serve.pipeline.answer.time", SimpleNamespace(monotonic=clock))
    return clock


def test_parts_sum_up_to_the_total(clock: FakeClock) -> None:
    timer = Timer(clock() - 1)
    timer.mark("queue")
    clock.pass_ms(20)
    timer.mark("detect")
    clock.pass_ms(5)
    timer.mark("generate")
    assert timer.timings_ms() == {
        "queue": 1000,
        "detect": 20,
        "first_token": 0,
        "generate": 5,
        "total": 1025,
    }


@pytest.mark.parametrize("first_ms", [0, 7])
def test_second_end_of_a_part_is_ignored(clock: FakeClock, first_ms: float) -> None:
    timer = Timer(clock())
    clock.pass_ms(first_ms)
    timer.mark("first_token")
    clock.pass_ms(100)
    timer.mark("first_token")
    timer.mark("generate")
    timings_ms = timer.timings_ms()
    assert timings_ms["first_token"] == pytest.approx(first_ms)
    assert timings_ms["generate"] == 100


def test_parts_are_known_before_anything_happened() -> None:
    assert Timer(time.monotonic()).timings_ms() == dict.fromkeys((*PARTS, "total"), 0.0)


def test_chunks_are_joined_and_counted() -> None:
    answer = Answer(message("Hm."))
    for chunk in (TextChunk("Oh", 2), TextChunk("", 1), TextChunk(" no \n", 1)):
        answer.add(chunk)
    assert answer.text == "Oh no"
    assert answer.completion_tokens == 4


def test_first_text_is_that_of_the_first_chunk_with_text(clock: FakeClock) -> None:
    arrived = RequestContext("m-1", clock.now_s, clock.now_s + 60)
    answer = Answer(message("Hm.", request=arrived))
    answer.add(TextChunk("", 1))
    assert answer.first_text_s is None
    clock.pass_ms(30)
    answer.add(TextChunk("Oh", 1))
    first_text_s = clock()
    clock.pass_ms(500)
    answer.add(TextChunk(" no", 1))
    answer.finish("length")
    assert answer.first_text_s == first_text_s
    assert answer.finish_reason == "length"
    assert answer.timer.timings_ms()["first_token"] == pytest.approx(30)


async def test_collector_leaves_the_answer_as_it_is() -> None:
    answer = Answer(message("Hm."))
    answer.add(TextChunk("Oh", 1))
    writer = Collector()
    await writer.emotion(answer)
    await writer.safety(answer)
    await writer.text(answer, "Oh")
    await writer.done(answer)
    assert answer.text == "Oh"
