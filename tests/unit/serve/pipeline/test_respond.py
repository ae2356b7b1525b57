"""Flow of one message: order of the steps, choice of the persona, safety, cancellation."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.emotions import LABELS, Emotion
from models.prompt import Turn
from models.safety.levels import CONCERN, Category, Finding, Level
from serve.detector.protocol import Detection, Input, Priority
from serve.engine.protocol import TextChunk
from serve.errors import EngineError, PromptTooLong
from serve.pipeline.answer import Answer, AnswerWriter, Collector, chosen_emotion, detected_emotion
from serve.pipeline.messages import Message, RequestContext
from serve.pipeline.respond import Rules, respond
from serve.pipeline.safety import Concern, concern_line, concern_reply, crisis_reply, policy
from serve.responder.generator import Generation
from serve.responder.mix import Mix, mix_of
from serve.responder.protocol import GenerationRequest
from serve.telemetry.tracing import Carrier
from support.fakes import CHUNKS, FakeClock, FakeStages, RecordingWriter, message, scores

FOUND = Detection(scores(Emotion.FEAR), language="en")
TRACE = {"traceparent": "00-1-2-01"}


async def run(
    stages: FakeStages,
    message: Message,
    writer: AnswerWriter | None = None,
    rules: Rules = Rules(),  # noqa: B008 (frozen)
) -> Answer:
    """Answer a message."""
    answer = Answer(message)
    answer.trace = TRACE
    await respond(
        answer,
        writer or Collector(),
        stages.classify,
        stages,
        rules,
    )
    return answer


async def steps(stages: FakeStages, message: Message) -> list[tuple[str, object]]:
    """Answer a message and return the writer's calls."""
    writer = RecordingWriter()
    await run(stages, message, writer)
    return writer.steps


async def test_emotion_is_written_before_text_and_done_last() -> None:
    assert await steps(FakeStages(emotion=Emotion.FEAR), message("Who is there?")) == [
        ("emotion", Emotion.FEAR),
        ("text", "Oh"),
        ("text", " no"),
        ("done", "stop"),
    ]


async def test_a_prompt_that_is_too_long_is_an_error_before_anything_is_written() -> None:
    writer = RecordingWriter()
    with pytest.raises(PromptTooLong):
        await run(FakeStages(error=PromptTooLong("too long")), message("Who is there?"), writer)
    assert writer.steps == []


async def test_answer_is_filled() -> None:
    answer = await run(FakeStages(emotion=Emotion.FEAR), message("Who is there?"))
    assert answer.emotion == detected_emotion(FOUND)
    assert (answer.persona, answer.adapter, answer.safety) == (Emotion.FEAR, "fear@fake", None)
    assert (answer.prompt_tokens, answer.completion_tokens) == (5, 2)
    assert (answer.text, answer.finish_reason) == ("Oh no", "stop")


async def test_last_chunk_may_have_text() -> None:
    found = await steps(FakeStages((TextChunk("Oh no", 2, "length"),)), message("Hm."))
    assert found[1:] == [("text", "Oh no"), ("done", "length")]


async def test_answer_is_complete_before_its_last_text_is_written() -> None:
    class Reading(RecordingWriter):
        async def text(self, answer: Answer, text: str) -> None:
            self.steps.append((text, answer.finish_reason))

    writer = Reading()
    chunks = (TextChunk("Oh", 1), TextChunk(" no", 1, "stop"))
    await run(FakeStages(chunks), message("Hm."), writer)
    assert writer.steps[1:3] == [("Oh", None), (" no", "stop")]


async def test_half_an_answer_is_an_error_and_never_done() -> None:
    writer = RecordingWriter()
    with pytest.raises(EngineError, match="without a reason"):
        await run(FakeStages((TextChunk("Oh", 1),)), message("Hm."), writer)
    assert writer.steps[1:] == [("text", "Oh")]


async def test_detected_emotion_chooses_the_persona() -> None:
    stages = FakeStages(emotion=Emotion.ANGER)
    asked = message("You again!")
    await run(stages, asked)
    expected = GenerationRequest(
        "m-1", Emotion.ANGER, asked.turns, asked.sampling, TRACE, mix_of({"anger": 1})
    )
    assert stages.requests == [expected]
    assert stages.traces == [TRACE]


@pytest.mark.parametrize("emotion", LABELS)
async def test_chosen_emotion_replaces_the_detected_one(emotion: Emotion) -> None:
    stages = FakeStages()
    answer = await run(stages, message("Hm.", persona=emotion))
    assert answer.emotion == chosen_emotion(emotion)
    assert stages.requests[0].persona == emotion


async def test_added_persona_answers_any_emotion() -> None:
    stages = FakeStages(emotion=Emotion.ANGER)
    answer = await run(stages, message("Hm.", persona="calm"))
    assert answer.emotion == detected_emotion(Detection(scores(Emotion.ANGER), language="en"))
    assert answer.persona == "calm"
    assert stages.requests[0].persona == "calm"


async def test_base_model_has_neither_emotion_nor_persona() -> None:
    stages = FakeStages()
    found = await steps(stages, message("Hm.", base_model=True))
    assert found == [("emotion", None), ("text", "Oh"), ("text", " no"), ("done", "stop")]
    assert stages.requests[0].persona is None


@pytest.mark.parametrize(
    "texts", [("one",), ("one", "answer", "two"), ("one", "answer", "two", "answer")]
)
async def test_classifies_the_whole_conversation_and_generates_from_it(
    texts: tuple[str, ...],
) -> None:
    stages = FakeStages()
    await run(stages, message(*texts))
    turns = tuple(Turn("assistant" if text == "answer" else "user", text) for text in texts)
    assert stages.classified == [[turns]]
    assert stages.requests[0].turns == turns


async def test_answer_knows_the_language_and_whether_everything_was_read() -> None:
    async def classify(inputs: Sequence[Input], trace: Carrier) -> list[Detection]:
        found = scores(Emotion.JOY)
        return [Detection(found, language="ja", reliable=False, complete=False)]

    answer = Answer(message("one", "answer", "two"))
    generator = FakeStages()
    await respond(answer, Collector(), classify, generator, Rules())
    assert answer.emotion is not None
    assert (answer.emotion.language, answer.emotion.reliable) == ("ja", False)
    assert not answer.complete


@pytest.mark.parametrize("step", ["emotion", "text", "done"])
async def test_failing_writer_ends_the_generation(step: str) -> None:
    class Failing(RecordingWriter):
        async def _fail(self, *_: object) -> None:
            raise ConnectionError

    writer = Failing()
    setattr(writer, step, writer._fail)
    stages = FakeStages()
    with pytest.raises(ConnectionError):
        await run(stages, message("Hm."), writer)
    assert stages.released
    assert stages.closed is (step != "emotion"), "no chunk was read before"


async def test_cancelled_task_ends_the_generation() -> None:
    class Stuck(RecordingWriter):
        async def text(self, answer: Answer, text: str) -> None:
            writing.set()
            await asyncio.Event().wait()

    writing = asyncio.Event()
    stages = FakeStages()
    task = asyncio.create_task(run(stages, message("Hm."), Stuck()))
    await writing.wait()
    assert not stages.closed
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stages.closed


@pytest.mark.parametrize("chunks", [(), (TextChunk("Oh", 1),)], ids=["detector", "generator"])
async def test_error_of_a_stage_is_raised(chunks: tuple[TextChunk, ...]) -> None:
    with pytest.raises(EngineError, match="died"):
        await run(FakeStages(chunks, error=EngineError("died")), message("Hm."))


@pytest.mark.parametrize("persona", LABELS)
@pytest.mark.parametrize("safety", [True, False])
async def test_chosen_emotion_is_classified_only_for_safety(safety: bool, persona: Emotion) -> None:
    stages = FakeStages()
    answer = await run(stages, message("Hm.", persona=persona), rules=Rules(safety=safety))
    assert len(stages.classified) == safety
    assert (answer.timer.timings_ms()["detect"] > 0) is safety
    assert (answer.persona, len(stages.requests)) == (persona, 1)


@pytest.mark.parametrize("safety", [True, False])
async def test_base_model_is_classified_only_for_safety(safety: bool) -> None:
    stages = FakeStages()
    answer = await run(stages, message("Hm.", base_model=True), rules=Rules(safety=safety))
    assert len(stages.classified) == safety
    assert (answer.emotion, answer.persona, answer.text) == (None, None, "Oh no")


@pytest.mark.parametrize("persona", [None, "calm"])
async def test_unknown_emotion_is_classified_without_safety_too(persona: str | None) -> None:
    stages = FakeStages()
    answer = await run(stages, message("Hm.", persona=persona), rules=Rules(safety=False))
    assert answer.emotion == detected_emotion(FOUND)
    assert stages.requests[0].persona == (persona or Emotion.FEAR)


@pytest.mark.parametrize("base_model", [False, True])
@pytest.mark.parametrize("harm", list(Category))
async def test_harmful_message_gets_a_safety_reply(harm: Category, base_model: bool) -> None:
    stages = FakeStages(harm=harm)
    assert await steps(stages, message("one", "answer", "two", base_model=base_model)) == [
        ("emotion", None if base_model else Emotion.FEAR),
        ("safety", Finding(Level.CRISIS, harm)),
        ("text", crisis_reply(harm, None)),
        ("done", "stop"),
    ]
    assert stages.requests == []


@pytest.mark.parametrize("base_model", [False, True])
async def test_concern_gets_the_words_of_the_policy(base_model: bool) -> None:
    stages = FakeStages(concern=True)
    assert await steps(stages, message("one", "answer", "two", base_model=base_model)) == [
        ("emotion", None if base_model else Emotion.FEAR),
        ("safety", CONCERN),
        ("text", concern_reply(2, None)),
        ("done", "stop"),
    ]
    assert stages.requests == []


@pytest.fixture
def love_answers_concerns(monkeypatch: pytest.MonkeyPatch) -> Concern:
    """Policy in which a persona answers a concern."""
    concern = Concern(persona=Emotion.LOVE, line=policy().concern.line)
    changed = policy().model_copy(update={"concern": concern})
    monkeypatch.setattr("serve.pipeline.respond.policy", lambda: changed)
    return concern


@pytest.mark.parametrize("persona", [None, Emotion.ANGER, "calm"])
@pytest.mark.parametrize("temperature", [0.0, 0.2, 1.5])
async def test_concern_may_be_answered_gently_by_a_persona(
    love_answers_concerns: Concern, persona: str | None, temperature: float
) -> None:
    stages = FakeStages(concern=True)
    asked = message("Hm.", persona=persona)
    asked = replace(asked, sampling=replace(asked.sampling, temperature=temperature))
    answer = await run(stages, asked)
    [request] = stages.requests
    assert (answer.persona, request.persona) == (Emotion.LOVE, Emotion.LOVE)
    assert request.sampling.temperature == min(temperature, love_answers_concerns.temperature)
    assert answer.text == f"Oh no\n\n{concern_line(None)}"


@pytest.mark.usefixtures("love_answers_concerns")
async def test_concern_is_written_before_the_text_and_help_is_the_last_text() -> None:
    assert await steps(FakeStages(concern=True), message("Hm.", base_model=True)) == [
        ("emotion", None),
        ("safety", CONCERN),
        ("text", "Oh"),
        ("text", " no"),
        ("text", f"\n\n{concern_line(None)}"),
        ("done", "stop"),
    ]


async def test_safety_reply_has_neither_persona_nor_tokens() -> None:
    answer = await run(FakeStages(harm=Category.SELF_HARM), message("Hm."))
    assert (answer.persona, answer.adapter) == (None, None)
    assert (answer.prompt_tokens, answer.completion_tokens) == (0, 0)
    assert answer.first_text_s is not None


async def test_harm_in_an_earlier_turn_concerns_the_answer() -> None:
    stages = FakeStages(harm=Category.VIOLENCE, harmful_text="one")
    answer = await run(stages, message("one", "answer", "2", "a", "3", "a", "4", "a", "5"))
    assert answer.safety == Finding(Level.CRISIS, Category.VIOLENCE)


@pytest.mark.parametrize("persona", [Emotion.JOY, "calm"])
async def test_choosing_a_persona_does_not_avoid_the_safety_reply(persona: str) -> None:
    stages = FakeStages(harm=Category.SELF_HARM)
    answer = await run(stages, message("Hm.", persona=persona))
    assert answer.safety == Finding(Level.CRISIS, Category.SELF_HARM)
    assert answer.persona is None
    assert stages.requests == []


async def test_answer_without_text_has_no_first_token() -> None:
    answer = await run(FakeStages((TextChunk("", 1, "stop"),)), message("Hm."))
    assert answer.timer.timings_ms()["first_token"] == 0
    assert (answer.first_text_s, answer.finish_reason) == (None, "stop")


@given(
    took_ms=st.lists(st.floats(0, 60_000), min_size=5, max_size=5),
    case=st.sampled_from(["detected", "chosen", "base_model", "harm", "silent"]),
)
def test_timings_sum_up_to_the_total(took_ms: list[float], case: str) -> None:
    clock = FakeClock()

    class Timed(FakeStages):
        async def classify(
            self, inputs: Sequence[Input], trace: Carrier, priority: Priority = Priority.CHAT
        ) -> list[Detection]:
            clock.pass_ms(took_ms[1])
            return await super().classify(inputs, trace, priority)

        async def generate(self, request: GenerationRequest) -> Generation:
            return Generation(None, 5, self._timed())

        async def _timed(self) -> AsyncGenerator[TextChunk]:
            chunks = CHUNKS[2:] if case == "silent" else CHUNKS
            for ms, chunk in zip(took_ms[2:], chunks, strict=False):
                clock.pass_ms(ms)
                yield chunk

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("serve.pipeline.answer.time", SimpleNamespace(monotonic=clock))
        arrived = RequestContext("m-1", clock.now_s, clock.now_s + 1000)
        persona = Emotion.JOY if case == "chosen" else None
        asked = message("Hm.", persona=persona, base_model=case == "base_model", request=arrived)
        clock.pass_ms(took_ms[0])
        stages = Timed(harm=Category.SELF_HARM if case == "harm" else None)
        answer = asyncio.run(run(stages, asked, rules=Rules(safety=case == "harm")))
    parts_ms = answer.timer.timings_ms()
    total_ms = parts_ms.pop("total")
    expected_ms = (clock.now_s - asked.context.began_s) * 1000
    assert total_ms == pytest.approx(expected_ms, abs=0.01)
    assert sum(parts_ms.values()) == pytest.approx(total_ms, abs=0.03)  # each is rounded


def blended(message: Message, intensity: float = 1, **shares: float) -> Message:
    """Add a blend and an intensity to a message."""
    speaker = max(shares, key=lambda persona: shares[persona]) if shares else message.persona
    return replace(message, persona=speaker, blend=shares, intensity=intensity)


async def used_mix(stages: FakeStages, message: Message, rules: Rules | None = None) -> Mix | None:
    """Answer a message and return the weights that the generator got, and the answer states."""
    answer = await run(stages, message, rules=rules or Rules())
    [request] = stages.requests
    assert answer.mix == request.mix
    return request.mix


async def test_a_blend_is_answered_by_its_personas_under_the_heaviest_ones_name() -> None:
    stages = FakeStages()
    asked = blended(message("Hm."), 1.5, surprise=0.3, joy=0.7)
    assert await used_mix(stages, asked) == mix_of({"surprise": 0.3, "joy": 0.7}, 1.5)
    assert stages.requests[0].persona == "joy"


@pytest.mark.parametrize("intensity", [0, 0.5, 1.5])
async def test_the_intensity_is_that_of_the_detected_persona(intensity: float) -> None:
    found = await used_mix(FakeStages(), blended(message("Hm."), intensity))
    assert found == mix_of({"fear": 1}, intensity)


async def test_the_base_model_has_no_mix() -> None:
    assert await used_mix(FakeStages(), message("Hm.", base_model=True)) is None


@pytest.mark.usefixtures("love_answers_concerns")
@pytest.mark.parametrize(("intensity", "used"), [(1.5, 1), (1, 1), (0.5, 0.5), (0, 0)])
async def test_an_answer_to_a_concern_is_neither_blended_nor_amplified(
    intensity: float, used: float
) -> None:
    asked = blended(message("Hm."), intensity, anger=0.6, joy=0.4)
    rules = Rules(auto_blend_below=1)
    assert await used_mix(FakeStages(concern=True), asked, rules) == mix_of({"love": 1}, used)


async def test_a_crisis_has_no_mix() -> None:
    stages = FakeStages(harm=Category.SELF_HARM)
    answer = await run(stages, blended(message("Hm."), 1.5, anger=0.6, joy=0.4))
    assert (answer.mix, stages.requests) == (None, [])


TORN = Detection((0.45, 0.01, 0.01, 0.01, 0.5, 0.02))  # sadness and fear


@pytest.mark.parametrize(
    ("below", "shares"),
    [(None, {"fear": 1}), (0.5, {"fear": 1}), (0.51, {"fear": 0.5, "sadness": 0.45})],
)
async def test_auto_blends_the_two_likeliest_only_if_configured_and_neither_is_likely(
    below: float | None, shares: dict[str, float]
) -> None:
    class Torn(FakeStages):
        def _detection(self, given: Input) -> Detection:
            return TORN

    stages = Torn()
    rules = Rules(auto_blend_below=below)
    assert await used_mix(stages, message("Hm."), rules) == mix_of(shares)
    chosen = Torn()
    assert await used_mix(chosen, message("Hm.", persona="joy"), rules) == mix_of({"joy": 1})


@pytest.mark.parametrize(("chosen", "intensity"), [({}, 1.0), ({}, 1.5), ({"joy": 1.0}, 1.0)])
async def test_only_a_blend_that_the_client_has_not_asked_for_has_a_fallback(
    chosen: dict[str, float], intensity: float
) -> None:
    class Torn(FakeStages):
        def _detection(self, given: Input) -> Detection:
            return TORN

    stages = Torn()
    await run(
        stages, blended(message("Hm."), intensity, **chosen), rules=Rules(auto_blend_below=0.51)
    )
    expected = None if chosen else mix_of({"fear": 1}, intensity)
    assert stages.requests[0].fallback == expected
