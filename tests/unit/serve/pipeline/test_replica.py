"""Responder: gates, quotas and deadlines around the pipeline."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError
from ray.serve import metrics

from models.emotions import Emotion
from models.prompt import Turn
from models.safety.levels import Category, Finding, Level
from serve.adapters.registry import ControllerStatus, Version
from serve.adapters.trial import Trial
from serve.config import DetectorConfig, HardwareProfile
from serve.detector.protocol import Detection, Input, Priority
from serve.detector.scripted import ScriptedCritic
from serve.engine.protocol import Sampling
from serve.engine.scripted import ScriptedEncoder, script
from serve.errors import (
    DeadlineExceeded,
    NotReady,
    Overloaded,
    RateLimited,
)
from serve.pipeline.answer import Collector
from serve.pipeline.quota import KeyLimits
from serve.responder.mix import mix_of
from serve.telemetry.tracing import Carrier
from support.adapter_fleet import INITIAL
from support.fakes import SCRIPTED_TOKENS, FakeStages, RecordingWriter, message
from support.responder_parts import CONFIG, Parts, make_responder

TEXTS = 32 + 1024  # that the gate admits


@pytest.fixture
def parts() -> Parts:
    """Responder that answers one message at once."""
    return make_responder()


async def hold(parts: Parts, call: Callable[[], Awaitable[object]]) -> asyncio.Task[object]:
    """Start a request that hangs in the detector."""
    reached = asyncio.Event()

    async def hang(
        inputs: Sequence[Input], trace: Carrier, priority: Priority = Priority.CHAT
    ) -> list[Detection]:
        reached.set()
        await asyncio.Event().wait()
        return []

    classify = parts.detector.classify
    parts.detector.classify = hang  # type: ignore[method-assign]
    task: asyncio.Task[object] = asyncio.ensure_future(call())
    await reached.wait()
    parts.detector.classify = classify  # type: ignore[method-assign]
    return task


async def cancel(task: asyncio.Task[object]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_answers_with_the_persona_of_the_emotion(parts: Parts) -> None:
    parts.detector.emotion = Emotion.LOVE
    answer = await parts.answer()
    assert (answer.persona, answer.adapter) == ("love", "love@scripted")
    assert answer.text == script("love@scripted")
    assert answer.completion_tokens == SCRIPTED_TOKENS


@pytest.mark.parametrize("candidates", [1, 8])
async def test_a_message_is_encoded_once(candidates: int, monkeypatch: pytest.MonkeyPatch) -> None:
    speakers = list[str]()

    def prompt(_: ScriptedEncoder, speaker: str, *arguments: object) -> list[int]:
        speakers.append(speaker)
        return [1]

    monkeypatch.setattr(ScriptedEncoder, "prompt", prompt)
    await picking(candidates).answer()
    assert speakers == ["Fear"]


async def test_writer_is_told_of_each_step(parts: Parts) -> None:
    writer = RecordingWriter()
    await parts.responder.answer(message("Hm."), writer)
    assert [name for name, _ in writer.steps] == ["emotion", "text", "done"]


@pytest.mark.parametrize(("harm", "checked"), [("classifier", True), ("off", False)])
async def test_safety_follows_the_configuration(harm: str, checked: bool) -> None:
    detector = DetectorConfig.model_validate({"kind": "scripted", "harm": harm})
    parts = make_responder(CONFIG.model_copy(update={"detector": detector}))
    parts.detector.harm = Category.SELF_HARM
    asked = message("Hm.", persona=Emotion.JOY)
    answer = await parts.responder.answer(asked, Collector())
    assert answer.safety == (Finding(Level.CRISIS, Category.SELF_HARM) if checked else None)


async def test_full_responder_rejects_and_uses_up_no_quota(parts: Parts) -> None:
    limits = KeyLimits("app", requests_per_minute=1, tokens_per_minute=SCRIPTED_TOKENS)
    held = await hold(parts, parts.answer)
    for _ in range(3):
        with pytest.raises(Overloaded):
            await parts.answer(limits)
    await cancel(held)
    assert (await parts.answer(limits)).finish_reason == "stop"
    with pytest.raises(RateLimited):
        await parts.answer(limits)


async def test_rejection_by_the_quota_frees_the_gate(parts: Parts) -> None:
    limits = KeyLimits("app", requests_per_minute=1)
    await parts.answer(limits)
    for _ in range(3):
        with pytest.raises(RateLimited):
            await parts.answer(limits)
    assert (await parts.answer()).finish_reason == "stop"


async def test_classification_has_its_own_gate(parts: Parts) -> None:
    held = await hold(parts, parts.answer)
    assert len(await parts.detect(2)) == 2
    await cancel(held)


async def test_large_classifications_share_the_gate(parts: Parts) -> None:
    """However large a call is, it takes at most a quarter."""
    held = [await hold(parts, lambda: parts.detect(TEXTS)) for _ in range(3)]
    assert len(await parts.detect(1)) == 1
    held.append(await hold(parts, lambda: parts.detect(TEXTS // 4)))
    with pytest.raises(Overloaded):
        await parts.detect(1)
    for task in held:
        await cancel(task)
    assert len(await parts.detect(TEXTS)) == TEXTS


async def test_classification_uses_up_requests_but_no_tokens(parts: Parts) -> None:
    limits = KeyLimits("app", requests_per_minute=2, tokens_per_minute=SCRIPTED_TOKENS)
    assert len(await parts.detect(2, limits)) == 2
    await parts.answer(limits)
    with pytest.raises(RateLimited):
        await parts.detect(1, limits)
    assert await parts.detect()


async def test_concurrent_requests_of_a_key_include_classifications(parts: Parts) -> None:
    limits = KeyLimits("app", concurrent=1)
    held = await hold(parts, lambda: parts.answer(limits))
    with pytest.raises(RateLimited):
        await parts.detect(1, limits)
    await cancel(held)
    assert await parts.detect(1, limits)


async def test_deadline_ends_an_answer_and_frees_everything(parts: Parts) -> None:
    parts.engine.hangs = True
    with pytest.raises(DeadlineExceeded):
        await parts.answer(timeout_s=0.05)
    assert (await parts.responder.stats()).running == 0
    parts.engine.hangs = False
    assert (await parts.answer()).finish_reason == "stop"


async def test_deadline_ends_a_classification(parts: Parts) -> None:
    async def hang(
        inputs: Sequence[Input], trace: Carrier, priority: Priority = Priority.CHAT
    ) -> list[Detection]:
        await asyncio.Event().wait()
        return []

    parts.detector.classify = hang  # type: ignore[method-assign]
    with pytest.raises(DeadlineExceeded):
        await parts.detect(timeout_s=0.05)


async def test_outcomes_are_counted(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    found = list[tuple[str, str]]()

    def record(self: Any, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
        if self.info["name"] == "fye_requests":
            found.append(((tags or {})["call"], (tags or {})["outcome"]))

    monkeypatch.setattr(metrics.Counter, "inc", record)
    await parts.answer()
    await parts.detect()
    other = KeyLimits("other", requests_per_minute=1)
    await parts.detect(1, other)
    with pytest.raises(RateLimited):
        await parts.detect(1, other)
    limits = KeyLimits("app", tokens_per_minute=1)
    with pytest.raises(RateLimited):
        await parts.answer(limits)
    assert found == [
        ("respond", "ok"),
        ("detect", "ok"),
        ("detect", "ok"),
        ("detect", "rejected"),
        ("respond", "rejected"),
    ]


async def test_reports_its_load_to_the_scaling_policy(parts: Parts) -> None:
    idle = await parts.responder.record_autoscaling_stats()
    assert (idle["running"], idle["waiting"], idle["ttft_ms"]) == (0, 0, 0)
    await parts.answer()
    held = await hold(parts, parts.answer)
    load = await parts.responder.record_autoscaling_stats()
    await cancel(held)
    assert load["running"] + load["waiting"] == 1
    assert load["slots"] == CONFIG.responder.hardware.max_num_seqs
    assert load["arrivals_per_s"] > 0
    assert load["ttft_ms"] > 0


def picking(candidates: int, token_s: float = 0) -> Parts:
    """Responder with a scripted critic on a batch of 32 slots."""
    hardware = HardwareProfile(max_num_seqs=32)
    update = {"candidates": candidates, "critic": "critic", "hardware": hardware}
    responder = CONFIG.responder.model_copy(update=update)
    config = CONFIG.model_copy(update={"responder": responder})
    return make_responder(config, ScoringStages(), token_s)


class ScoringStages(FakeStages):
    """Fake detector with a scripted critic."""

    scored = 0

    async def score(
        self, turns: tuple[Turn, ...], answers: Sequence[str], trace: Carrier
    ) -> list[float]:
        self.scored += 1
        return ScriptedCritic().score(turns, answers)


async def test_stop_ends_running_answers_and_classifications(parts: Parts) -> None:
    held = [await hold(parts, parts.answer), await hold(parts, parts.detect)]
    await parts.responder.end_requests()
    found = await asyncio.gather(*held, return_exceptions=True)
    assert [type(error) for error in found] == [NotReady, NotReady]


async def test_a_controller_that_dies_during_a_change_is_a_clear_error(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> ControllerStatus:
        raise ActorDiedError

    for call in ("status", "publish", "promote", "rollback"):
        monkeypatch.setattr(parts.controller, call, die)
    responder = parts.responder
    for changing in (
        responder.adapter_status(),
        responder.publish_adapter("folder"),
        responder.promote_adapter("joy@2"),
        responder.roll_back_adapter("joy"),
    ):
        with pytest.raises(NotReady, match="adapter controller ended"):
            await changing


async def test_answers_of_versions_on_trial_are_counted_and_reported() -> None:
    guard = CONFIG.responder.guard.model_copy(update={"classified": 1})
    responder = CONFIG.responder.model_copy(update={"guard": guard})
    parts = make_responder(CONFIG.model_copy(update={"responder": responder}))
    parts.detector.emotion = Emotion.JOY
    published = INITIAL.publish(Version(name="joy@2", persona="joy"), capacity=8)
    parts.controller.desired = published.try_out(Trial(name="joy@2", share=0.5))
    await parts.adapters.step()
    await parts.responder.answer(replace(message("Hm."), sampling=Sampling()), Collector())
    await asyncio.sleep(0.01)  # until the detector has read the answer
    await parts.adapters.step()
    counted = parts.controller.reports[-1].tallies["joy@scripted", 1]
    assert (counted.answers, counted.tokens, counted.classified) == (1, SCRIPTED_TOKENS, 1)


async def test_critic_picks_one_of_the_candidates() -> None:
    parts = picking(8)
    answer = await parts.answer(texts="I like #5")
    assert answer.text.startswith("[fear@scripted] #5 hear you")
    assert answer.candidates is not None
    # Each of the seven others has the tokens of the one that was sent.
    assert (answer.candidates.n, answer.candidates.score) == (8, 0.9526)
    assert answer.candidates.discarded_tokens == 7 * answer.completion_tokens == 7 * SCRIPTED_TOKENS


async def test_with_one_candidate_the_critic_is_not_asked() -> None:
    parts = picking(1)
    answer = await parts.answer(texts="I like #5")
    assert answer.text == script("fear@scripted")
    assert answer.candidates is None
    assert isinstance(parts.detector, ScoringStages)
    assert parts.detector.scored == 0


async def test_crisis_has_no_candidates() -> None:
    parts = picking(8)
    parts.detector.harm = Category.SELF_HARM
    answer = await parts.answer(texts="I like #5")
    assert (answer.candidates, answer.completion_tokens) == (None, 0)


async def test_candidates_are_not_used_where_a_client_asks_for_log_probabilities() -> None:
    parts = picking(8)
    asked = replace(message("I like #5"), sampling=Sampling(max_tokens=SCRIPTED_TOKENS, logprobs=1))
    answer = await parts.responder.answer(asked, Collector())
    assert (answer.candidates, len(answer.logprobs)) == (None, SCRIPTED_TOKENS)


async def test_deadline_ends_the_candidates() -> None:
    parts = picking(8, token_s=60)
    with pytest.raises(DeadlineExceeded):
        await parts.answer(timeout_s=0.05)
    assert parts.engine.stats().running == 0
    assert isinstance(parts.detector, ScoringStages)
    assert parts.detector.scored == 0


async def test_a_full_gate_has_one_candidate_each_before_anyone_is_rejected() -> None:
    parts = picking(8)
    answers = await asyncio.gather(*(parts.answer() for _ in range(32)))
    assert [answer.candidates for answer in answers] == [None] * 32
    alone = await parts.answer()
    assert alone.candidates is not None
    assert alone.candidates.n == 8


@pytest.mark.parametrize("auto_below", [None, 0.7, 0.8])
async def test_auto_blends_below_the_configured_score(auto_below: float | None) -> None:
    """The fake detector is sure of fear by 0.75."""
    blends = CONFIG.responder.blends.model_copy(update={"auto_below": auto_below})
    responder = CONFIG.responder.model_copy(update={"blends": blends})
    answer = await make_responder(CONFIG.model_copy(update={"responder": responder})).answer()
    if auto_below == 0.8:
        assert answer.mix == mix_of({"fear": 0.75, "sadness": 0.05})
        assert str(answer.adapter).startswith("blend@")
        assert answer.text == script(answer.adapter)
    else:
        assert (answer.mix, answer.adapter) == (mix_of({"fear": 1}), "fear@scripted")
