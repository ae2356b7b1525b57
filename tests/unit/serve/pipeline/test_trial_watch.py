"""Observer of the answers of versions on trial: what is counted, and what is classified."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from models.emotions import Emotion
from models.generation import DEFAULT_MAX_TOKENS
from models.safety.levels import Finding, Level
from serve.adapters.registry import Releases, Version
from serve.adapters.tally import Tally
from serve.adapters.trial import Trial
from serve.detector.protocol import Detection, Input, Priority
from serve.engine.protocol import FinishReason, Sampling, TextChunk
from serve.errors import DeadlineExceeded, EngineError, InvalidRequest, NotReady, Overloaded
from serve.pipeline import trial_watch
from serve.pipeline.answer import Answer
from serve.pipeline.messages import Message
from serve.pipeline.trial_watch import TrialWatch
from serve.responder.trial_tallies import TrialTallies
from support.fakes import FakeStages, context, message

NEW = ("joy@2", 1)
TIMEOUT_S = 60.0


class Watched:
    """An observer with a fake detector, and the counts of the version on trial."""

    def __init__(self, share: float = 1, detector: FakeStages | None = None) -> None:
        first = Releases.initial([Version(name="joy@1", persona="joy")])
        second = first.publish(Version(name="joy@2", persona="joy"), capacity=8)
        self.tallies = TrialTallies()
        self.tallies.follow(second.try_out(Trial(name="joy@2", share=0.1)))
        self.busy = False
        self.detector = detector or FakeStages(emotion=Emotion.JOY)
        classify = self.detector.classify
        self.watch = TrialWatch(self.tallies, classify, share, TIMEOUT_S, lambda: self.busy)
        self.users = map(str, count())

    @property
    def counts(self) -> Tally:
        return self.tallies.current[NEW]

    async def answer(
        self,
        error: BaseException | None = None,
        adapter: str | None = "joy@2",
        reason: FinishReason = "stop",
        asked: Message | None = None,
        **more: Any,
    ) -> None:
        """Observe an answer of four tokens, by default of another user, and what follows it."""
        answer = Answer(asked or ask(next(self.users)))
        answer.persona, answer.adapter = "joy", adapter
        for name, value in more.items():
            setattr(answer, name, value)
        answer.add(TextChunk("what a day", 4))
        with self.watch.answer(answer):
            if error:
                raise error
            answer.finish(reason)
        for _ in range(5):
            await asyncio.sleep(0)


def ask(user: str | None, timeout_s: float = TIMEOUT_S, **sampling: Any) -> Message:
    """A message with the default limits, apart from those that are given."""
    asked = message("Hm.", request=context(timeout_s))
    return replace(asked, sampling=Sampling(**sampling), user=user)


async def test_answers_are_counted_with_their_length_ending_and_emotion() -> None:
    watched = Watched()
    await watched.answer()
    await watched.answer(reason="length")
    watched.detector.emotion = Emotion.FEAR
    await watched.answer()
    assert watched.counts == Tally(
        answers=3, cut=1, tokens=12, squared_tokens=48, classified=3, other_emotion=1
    )
    assert watched.detector.classified == [["what a day"]] * 3
    assert set(watched.detector.priorities) == {Priority.SPARE}
    assert watched.tallies.current["joy@1", 1] == Tally()


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (EngineError("died"), Tally.error()),
        (DeadlineExceeded("late"), Tally.error()),
        (ValueError("a bug"), Tally.error()),
        (InvalidRequest("unknown"), Tally()),
        (Overloaded("full"), Tally()),
        (NotReady("the server stops"), Tally()),
        (asyncio.CancelledError(), Tally()),
    ],
    ids=repr,
)
async def test_only_errors_of_the_server_count(error: BaseException, counted: Tally) -> None:
    watched = Watched()
    with pytest.raises(type(error)):
        await watched.answer(error)
    assert watched.counts == counted
    assert watched.detector.classified == []


@pytest.mark.parametrize(("timeout_s", "errors"), [(59.999, 0), (60, 1), (90, 1)])
async def test_a_shorter_timeout_of_the_client_is_no_fault(timeout_s: float, errors: int) -> None:
    watched = Watched()
    with pytest.raises(DeadlineExceeded):
        await watched.answer(DeadlineExceeded("late"), asked=ask("ann", timeout_s))
    assert (watched.counts.answers, watched.counts.errors) == (errors, errors)


@pytest.mark.parametrize("limit", [{"max_tokens": DEFAULT_MAX_TOKENS - 1}, {"ignore_eos": True}])
async def test_a_length_that_the_client_decides_is_no_fault(limit: dict[str, Any]) -> None:
    watched = Watched()
    await watched.answer(reason="length", asked=ask("ann", **limit))
    assert watched.counts == Tally(answers=1, limited=1, classified=1)
    assert watched.counts.written == 0


async def test_one_answer_of_each_conversation_counts() -> None:
    watched = Watched()
    for user in ("ann", "ann", None, None, "bob"):
        await watched.answer(asked=ask(user))
    assert (watched.counts.answers, watched.counts.classified) == (3, 3)
    await watched.answer(adapter="joy@1", asked=ask("ann"))
    assert watched.tallies.current["joy@1", 1].answers == 1
    with pytest.raises(asyncio.CancelledError):
        await watched.answer(asyncio.CancelledError(), asked=ask("eve"))
    await watched.answer(asked=ask("eve"))
    assert watched.counts.answers == 4, "an answer that does not count uses nothing up"


@pytest.mark.parametrize(
    "more",
    [
        {"adapter": None},
        {"adapter": "fear@1"},
        {"adapter": "blend@joy@2=0.5"},
        {"safety": Finding(Level.CONCERN)},
    ],
    ids=repr,
)
async def test_other_versions_blends_and_answers_to_harm_do_not_count(more: dict[str, Any]) -> None:
    watched = Watched()
    await watched.answer(**more)
    assert set(watched.tallies.current.values()) == {Tally()}
    assert watched.detector.classified == []


@pytest.mark.parametrize("share", [0.0, 0.25])
async def test_a_share_of_the_answers_is_classified(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "random", iter([0.3, 0.2, 0.9, 0.24]).__next__)
    watched = Watched(share)
    for _ in range(4):
        await watched.answer()
    assert (watched.counts.answers, watched.counts.classified) == (4, 2 if share else 0)


async def test_nothing_is_classified_under_load() -> None:
    watched = Watched()
    watched.busy = True
    await watched.answer()
    assert (watched.counts.answers, watched.counts.classified) == (1, 0)


async def test_added_personas_are_not_classified() -> None:
    watched = Watched()
    await watched.answer(persona="calm")
    assert (watched.counts.answers, watched.counts.classified) == (1, 0)


class SlowDetector(FakeStages):
    """Detector that classifies nothing."""

    async def classify(
        self, inputs: Sequence[Input], trace: Any, priority: Priority = Priority.CHAT
    ) -> list[Detection]:
        await super().classify(inputs, trace, priority)
        await asyncio.Event().wait()
        return []


async def test_one_answer_is_classified_at_a_time() -> None:
    watched = Watched(detector=SlowDetector())
    for _ in range(3):
        await watched.answer()
    assert (watched.counts.answers, len(watched.detector.classified)) == (3, 1)
    watched.watch.close()
    await asyncio.sleep(0)
    await watched.answer()
    assert len(watched.detector.classified) == 2
    watched.watch.close()


async def test_a_detector_that_fails_or_is_late_costs_one_classification(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trial_watch, "CLASSIFY_TIMEOUT_S", 0)
    for detector in (FakeStages((), error=Overloaded("full")), SlowDetector()):
        watched = Watched(detector=detector)
        await watched.answer()
        await asyncio.sleep(0.01)
        await watched.answer()
        assert (watched.counts.answers, watched.counts.classified) == (2, 0)
        assert len(detector.classified) == 2
