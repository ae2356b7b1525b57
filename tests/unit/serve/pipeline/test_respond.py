"""The way of one message: what happens in which order, what is left out, and what ends when the caller leaves."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.detector.harm import Category
from models.emotions import LABELS, Emotion
from models.prompt import Turn
from serve.detector.replica import Reading
from serve.errors import EngineError
from serve.pipeline.messages import Detected, Event, Finished, Flagged, Message, Said
from serve.pipeline.respond import answer, collect, to_detected
from serve.pipeline.safety import calm_answer
from serve.responder.replica import Ask, Piece
from serve.tracing import Carrier
from support.fakes import ANSWER, FakeStages, message, scores


async def events(stages: FakeStages, asked: Message) -> list[Event]:
    return [event async for event in answer(stages, asked)]


async def test_the_emotion_comes_first_then_text_then_the_figures() -> None:
    first, *said, last = await events(FakeStages(best=Emotion.FEAR), message("Who is there?"))
    assert first == to_detected(scores(Emotion.FEAR))
    assert said == [Said("Oh"), Said(" no")]
    assert isinstance(last, Finished)
    assert (last.finish_reason, last.prompt_tokens, last.completion_tokens) == ("stop", 5, 2)


async def test_the_last_piece_may_carry_text_too() -> None:
    kinds = [type(event) for event in await events(FakeStages((Piece("Oh no", "length", 5, 2),)), message("Hm."))]
    assert kinds == [Detected, Said, Finished]


async def test_the_detected_emotions_character_is_asked() -> None:
    stages = FakeStages(best=Emotion.ANGER)
    asked = message("You again!")
    await events(stages, asked)
    [ask] = stages.asked
    assert ask == Ask(asked.request_id, Emotion.ANGER, asked.turns, asked.sampling, ask.timeout_s)
    assert 59 < ask.timeout_s < 60


@pytest.mark.parametrize("emotion", LABELS)
async def test_a_chosen_emotion_is_certain_whatever_is_read(emotion: Emotion) -> None:
    stages = FakeStages()
    first, *_ = await events(stages, message("Hm.", emotion=emotion))
    assert first == Detected(emotion, 1.0, {label: float(label is emotion) for label in LABELS})
    assert stages.asked[0].persona is emotion


async def test_a_persona_beside_the_six_answers_whatever_is_felt() -> None:
    stages = FakeStages(best=Emotion.ANGER)
    first, *_ = await events(stages, message("Hm.", emotion="calm"))
    assert isinstance(first, Detected)
    assert (first.label, first.score, first.persona) == (Emotion.ANGER, 0.75, "calm")
    assert stages.asked[0].persona == "calm"


async def test_the_bare_base_has_no_emotion_and_no_character() -> None:
    stages = FakeStages()
    kinds = [type(event) for event in await events(stages, message("Hm.", bare=True))]
    assert kinds == [Said, Said, Finished]
    assert stages.asked[0].persona is None


@pytest.mark.parametrize("texts", [("one",), ("one", "answer", "two"), ("one", "answer", "two", "answer")])
async def test_what_is_read_is_what_the_user_said(texts: tuple[str, ...]) -> None:
    stages = FakeStages()
    await events(stages, message(*texts))
    assert stages.read_texts == [[text for text in texts if text != "answer"]]
    assert stages.asked[0].turns == tuple(Turn("assistant" if text == "answer" else "user", text) for text in texts)


async def test_closing_early_closes_the_responders_generator() -> None:
    stages = FakeStages()
    async with aclosing(answer(stages, message("Hm."))) as running:
        async for event in running:
            if isinstance(event, Said):
                break
        assert not stages.closed
    assert stages.closed


async def test_leaving_before_any_text_never_asks_the_responder() -> None:
    stages = FakeStages()
    async with aclosing(answer(stages, message("Hm."))) as running:
        await anext(running)
    assert stages.asked == []


async def test_times_are_parts_of_the_total() -> None:
    class Slow(FakeStages):
        async def read(self, texts: list[str], trace: Carrier) -> list[Reading]:
            await asyncio.sleep(0.02)
            return await super().read(texts, trace)

    finished = (await events(Slow(), message("Hm.")))[-1]
    assert isinstance(finished, Finished)
    times = finished.timings_ms
    assert times["detect"] >= 19
    assert sum(times.values()) - times["total"] == pytest.approx(times["total"], rel=0.02)


class Clock:
    """Time passes only where a test lets it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def passes(self, ms: float) -> None:
        self.now_s += ms / 1000


@given(took_ms=st.lists(st.floats(0, 60_000), min_size=5, max_size=5), case=st.sampled_from(["plain", "chosen", "bare", "harm", "silent"]))
def test_times_add_up_to_the_total_whatever_they_are_and_whatever_was_left_out(took_ms: list[float], case: str) -> None:
    clock = Clock()

    class Timed(FakeStages):
        async def read(self, texts: list[str], trace: Carrier) -> list[Reading]:
            clock.passes(took_ms[1])
            return await super().read(texts, trace)

        async def respond(self, ask: Ask) -> AsyncGenerator[Piece]:
            for ms, piece in zip(took_ms[2:], ANSWER[2:] if case == "silent" else ANSWER, strict=False):
                clock.passes(ms)
                yield piece

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("serve.pipeline.respond.time", clock)
        asked = replace(message("Hm.", emotion=Emotion.JOY if case == "chosen" else None, bare=case == "bare"), began_s=clock.now_s)
        clock.passes(took_ms[0])
        stages = Timed(harm=Category.SELF_HARM if case == "harm" else None)
        finished = asyncio.run(collect(answer(stages, asked, harm=case == "harm"))).finished
    times = dict(finished.timings_ms)
    total_ms = times.pop("total")
    assert total_ms == pytest.approx((clock.now_s - asked.began_s) * 1000, abs=0.01)
    assert sum(times.values()) == pytest.approx(total_ms, rel=0.05, abs=0.03)  # each is rounded to 0.01 ms


@pytest.mark.parametrize("how", [{"emotion": Emotion.JOY}, {"bare": True}], ids=str)
async def test_what_nobody_needs_to_know_is_not_detected(how: dict[str, Any]) -> None:
    """Harm needs to be known, where it is looked for."""
    for harm in (True, False):
        stages = FakeStages()
        finished = [event async for event in answer(stages, message("Hm.", **how), harm)][-1]
        assert isinstance(finished, Finished)
        assert (len(stages.read_texts), finished.timings_ms["detect"] > 0) == (harm, harm)
        assert len(stages.asked) == 1


async def test_an_emotion_that_was_not_chosen_is_detected_without_harm_too() -> None:
    stages = FakeStages()
    await collect(answer(stages, message("Hm."), harm=False))
    assert stages.asked[0].persona is Emotion.FEAR


async def test_an_answer_without_text_has_no_first_token() -> None:
    finished = (await events(FakeStages((Piece("", "stop", 5, 1),)), message("Hm.")))[-1]
    assert isinstance(finished, Finished)
    assert finished.timings_ms["first_token"] == 0


async def test_a_whole_answer_is_its_pieces_without_white_space_at_the_end() -> None:
    stages = FakeStages((Piece("Oh"), Piece(" no \n"), Piece("", "stop", 5, 2)))
    whole = await collect(answer(stages, message("Hm.")))
    assert whole.detected == to_detected(scores(Emotion.FEAR))
    assert whole.flagged is None
    assert whole.text == "Oh no"
    assert whole.finished.completion_tokens == 2
    assert stages.closed


async def test_a_whole_answer_of_the_bare_base_has_no_emotion() -> None:
    assert (await collect(answer(FakeStages(), message("Hm.", bare=True)))).detected is None


async def test_an_answer_that_is_cut_is_an_error() -> None:
    with pytest.raises(EngineError, match="without its figures"):
        await collect(answer(FakeStages((Piece("Oh"),)), message("Hm.")))


async def test_an_error_of_a_stage_comes_through() -> None:
    with pytest.raises(EngineError, match="died"):
        await collect(answer(FakeStages((Piece("Oh"),), fails=EngineError("died")), message("Hm.")))


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("harm", list(Category))
async def test_a_message_that_speaks_of_harm_reaches_no_persona(harm: Category, bare: bool) -> None:
    stages = FakeStages(harm=harm)
    *first, flagged, said, finished = await events(stages, message("one", "answer", "two", bare=bare))
    assert [type(event) for event in first] == ([] if bare else [Detected])
    assert flagged == Flagged(harm)
    assert said == Said(calm_answer(harm, None))
    assert isinstance(finished, Finished)
    assert finished.finish_reason == "stop"
    assert stages.asked == []
    assert stages.read_texts == [["one", "two"]]


async def test_harm_in_an_earlier_turn_holds_for_what_comes_after() -> None:
    stages = FakeStages(harm=Category.VIOLENCE, harm_in="one")
    assert Flagged(Category.VIOLENCE) in await events(stages, message("one", "answer", "two", "answer", "three"))
    assert Flagged(Category.VIOLENCE) not in await events(stages, message("one", "answer", "2", "a", "3", "a", "4", "a", "5"))


async def test_a_chosen_emotion_is_no_way_around() -> None:
    stages = FakeStages(harm=Category.SELF_HARM)
    assert Flagged(Category.SELF_HARM) in await events(stages, message("Hm.", emotion=Emotion.JOY))
    assert stages.asked == []


@given(rows=st.lists(st.floats(0, 1), min_size=6, max_size=6))
def test_the_label_is_the_highest_of_the_scores_that_are_shown(rows: list[float]) -> None:
    detected = to_detected(tuple(rows))
    assert list(detected.scores) == list(LABELS)
    assert detected.score == detected.scores[detected.label] == max(detected.scores.values())


@pytest.mark.parametrize("count", [5, 7])
def test_scores_of_another_length_are_an_error(count: int) -> None:
    with pytest.raises(ValueError, match="zip"):
        to_detected((0.1,) * count)
