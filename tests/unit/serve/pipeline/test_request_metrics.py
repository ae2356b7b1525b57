"""Metrics and log of a request, whatever its outcome; neither contains text of a user."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from ray.serve import metrics

from models.emotions import Emotion
from models.safety.levels import Category
from serve.engine.protocol import TextChunk
from serve.errors import (
    DeadlineExceeded,
    EngineError,
    InvalidRequest,
    Overloaded,
    RateLimited,
    ReplicaFailed,
)
from serve.pipeline.answer import Answer, AnswerWriter, Candidates, Collector
from serve.pipeline.messages import Message
from serve.pipeline.request_metrics import RequestLog, RequestMetrics, outcome_of
from serve.pipeline.respond import Rules, respond
from serve.responder.generator import Generation
from serve.responder.protocol import GenerationRequest
from serve.responder.voice import blend_name
from serve.telemetry.tracing import OFF
from support.fakes import FakeStages, RecordingWriter, context, message

SECRET = "what-the-user-wrote"
ERRORS: list[tuple[BaseException, str]] = [
    (Overloaded("full"), "rejected"),
    (RateLimited("used up"), "rejected"),
    (DeadlineExceeded("late"), "deadline_exceeded"),
    (InvalidRequest("the persona is gone"), "invalid"),
    (asyncio.CancelledError(), "client_disconnected"),
    (GeneratorExit(), "client_disconnected"),
    (EngineError("died"), "failed"),
    (ReplicaFailed("died"), "failed"),
    (ValueError("a bug"), "failed"),
]
Recorded = list[tuple[str, float, dict[str, str]]]
Logged = Callable[[], dict[str, Any]]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """Name, value and tags of everything that is counted or observed."""
    found: Recorded = []

    def record(self: Any, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
        found.append((self.info["name"], value, tags or {}))

    monkeypatch.setattr(metrics.Counter, "inc", record)
    monkeypatch.setattr(metrics.Histogram, "observe", record)
    return found


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Logged:
    """Return the only line of the log, without any text of a user."""

    def logged() -> dict[str, Any]:
        [line] = capsys.readouterr().out.splitlines()
        assert SECRET not in line
        found: dict[str, Any] = json.loads(line)
        return found

    return logged


async def measured(
    stages: FakeStages, asked: Message, writer: AnswerWriter | None = None
) -> Answer:
    """Answer a message with metrics."""
    answer = Answer(asked)
    with RequestMetrics().answer(answer, OFF):
        generator: Any = stages
        await respond(answer, writer or Collector(), stages.classify, generator, Rules())
    return answer


def counted(recorded: Recorded) -> list[tuple[str, str]]:
    """Persona and outcome of each request that was counted."""
    return [
        (tags["persona"], tags["outcome"]) for name, _, tags in recorded if name == "fye_requests"
    ]


async def test_answer_is_counted_with_its_persona_tokens_and_times(recorded: Recorded) -> None:
    await measured(FakeStages(emotion=Emotion.LOVE), message("Hm."))
    assert counted(recorded) == [("love", "ok")]
    tokens = [(value, tags["kind"]) for name, value, tags in recorded if name == "fye_tokens"]
    assert tokens == [(5, "prompt"), (2, "completion")]
    parts = ("queue", "detect", "first_token", "ttft", "tpot", "total")
    names = {name for name, _, _ in recorded}
    assert names == {"fye_requests", "fye_tokens", *(f"fye_{part}_ms" for part in parts)}
    assert {tags["persona"] for _, _, tags in recorded} == {"love"}


async def test_tokens_of_answers_that_were_not_picked_are_discarded(
    recorded: Recorded, logged: Logged
) -> None:
    class Picking(FakeStages):
        async def generate(self, request: GenerationRequest) -> Generation:
            answer.candidates = Candidates(8, 0.75, discarded_tokens=100)
            return await super().generate(request)

    answer = Answer(message("Hm."))
    stages: Any = Picking()
    with RequestMetrics().answer(answer, OFF):
        await respond(answer, Collector(), stages.classify, stages, Rules())
    tokens = [(value, tags["kind"]) for name, value, tags in recorded if name == "fye_tokens"]
    assert tokens == [(5, "prompt"), (2, "completion"), (100, "discarded")]
    assert "fye_tpot_ms" not in {name for name, _, _ in recorded}
    line = logged()
    assert (line["completion_tokens"], line["candidates"], line["critic_score"]) == (2, 8, 0.75)


async def test_chosen_persona_is_counted_under_its_name(recorded: Recorded) -> None:
    await measured(FakeStages(emotion=Emotion.LOVE), message("Hm.", persona="calm"))
    assert counted(recorded) == [("calm", "ok")]


async def test_intensity_0_is_no_missing_adapter(recorded: Recorded, logged: Logged) -> None:
    class Base(FakeStages):
        async def generate(self, request: GenerationRequest) -> Generation:
            return replace(await super().generate(request), adapter=None)

    await measured(Base(), replace(message("Hm."), intensity=0))
    assert [tags["adapter"] for name, _, tags in recorded if name == "fye_requests"] == ["off"]
    assert logged()["adapter"] == "off"


async def test_base_model_has_no_persona(recorded: Recorded, logged: Logged) -> None:
    await measured(FakeStages(), message("Hm.", base_model=True))
    assert counted(recorded) == [("none", "ok")]
    assert logged()["persona"] == "none"


@pytest.mark.parametrize(("error", "outcome"), ERRORS, ids=lambda value: repr(value))
def test_errors_have_outcomes(error: BaseException, outcome: str) -> None:
    assert outcome_of(error) == outcome


@pytest.mark.parametrize(("error", "outcome"), ERRORS, ids=lambda value: repr(value))
def test_failed_answer_is_counted_and_its_error_raised(
    recorded: Recorded, logged: Logged, error: BaseException, outcome: str
) -> None:
    answer = Answer(message(SECRET))
    answer.persona = "fear"
    with pytest.raises(type(error)), RequestMetrics().answer(answer, OFF):
        raise error
    assert counted(recorded) == [("fear", outcome)]
    line = logged()
    assert line["outcome"] == outcome
    assert "timings_ms" not in line
    assert "fye_total_ms" not in {name for name, _, _ in recorded}


async def test_client_that_disconnects_is_counted_and_its_answer_closed(
    recorded: Recorded,
) -> None:
    class Leaving(RecordingWriter):
        async def text(self, answer: Answer, text: str) -> None:
            raise asyncio.CancelledError

    stages = FakeStages()
    with pytest.raises(asyncio.CancelledError):
        await measured(stages, message("Hm."), Leaving())
    assert counted(recorded) == [("fear", "client_disconnected")]
    assert stages.closed
    assert "fye_ttft_ms" in {name for name, _, _ in recorded}


@pytest.mark.parametrize(
    ("harm", "expected"),
    [(None, ("fear", "ok")), (Category.VIOLENCE, ("none", "safety"))],
)
async def test_client_that_disconnects_after_a_complete_answer_has_got_it(
    recorded: Recorded, harm: Category | None, expected: tuple[str, str]
) -> None:
    class Leaving(RecordingWriter):
        async def done(self, answer: Answer) -> None:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await measured(FakeStages(harm=harm), message("Hm."), Leaving())
    assert counted(recorded) == [expected]


async def test_error_after_a_complete_answer_is_a_failure(recorded: Recorded) -> None:
    class Failing(RecordingWriter):
        async def done(self, answer: Answer) -> None:
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 (no message)
        await measured(FakeStages(), message("Hm."), Failing())
    assert counted(recorded) == [("fear", "failed")]


async def test_cancelled_classification_is_a_disconnected_client(recorded: Recorded) -> None:
    class Stuck(FakeStages):
        async def classify(self, *_: Any) -> Any:
            started.set()
            await asyncio.Event().wait()

    started = asyncio.Event()
    task = asyncio.create_task(measured(Stuck(), message("Hm.")))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counted(recorded) == [("none", "client_disconnected")]


async def test_safety_reply_has_no_persona(recorded: Recorded) -> None:
    await measured(FakeStages(harm=Category.SELF_HARM), message("Hm."))
    assert counted(recorded) == [("none", "safety")]
    assert "fye_tokens" not in {name for name, _, _ in recorded}


async def test_answer_to_a_concern_is_an_outcome_of_its_own(recorded: Recorded) -> None:
    await measured(FakeStages(concern=True), message("Hm."))
    assert counted(recorded) == [("none", "concern")]


async def test_one_line_is_logged_without_any_text(recorded: Recorded, logged: Logged) -> None:
    chunks = (TextChunk(f"{SECRET} to you", 1), TextChunk("", 1, "stop"))
    asked = message(SECRET, request=replace(context(), x_request_id="theirs"))
    await measured(FakeStages(chunks), asked)
    line = logged()
    assert (line["event"], line["call"], line["outcome"]) == ("request", "respond", "ok")
    assert (line["request_id"], line["x_request_id"]) == ("m-1", "theirs")
    assert (line["persona"], line["adapter"]) == ("fear", "fear@fake")
    assert (line["prompt_tokens"], line["completion_tokens"]) == (5, 2)
    parts = {"queue", "detect", "first_token", "generate", "total"}
    assert set(line["timings_ms"]) == parts


async def test_version_of_the_adapter_is_counted(recorded: Recorded) -> None:
    await measured(FakeStages(), message("Hm."))
    adapters = [tags["adapter"] for name, _, tags in recorded if name == "fye_requests"]
    assert adapters == ["fear@fake"]


def test_all_blends_are_counted_as_one(recorded: Recorded) -> None:
    """Prometheus must not get a time series for each mix."""
    log = RequestLog()
    for name in (blend_name((("joy@1", 0.5),)), blend_name((("joy@1", 0.55),))):
        log.record("respond", "ok", "x", "joy", name)
    assert [tags["adapter"] for _, _, tags in recorded] == ["blend", "blend"]


async def test_time_to_first_text_begins_with_the_first_byte(recorded: Recorded) -> None:
    arrived = context()
    asked = message("Hm.", request=replace(arrived, began_s=arrived.began_s - 2))
    await measured(FakeStages(), asked)
    [ttft_ms] = [value for name, value, _ in recorded if name == "fye_ttft_ms"]
    assert 2000 <= ttft_ms < 1000 * (time.monotonic() - arrived.began_s) + 2000


async def test_parts_that_did_not_happen_are_not_measured(recorded: Recorded) -> None:
    stages = FakeStages((TextChunk("", 1, "stop"),))
    await measured(stages, message("Hm."))
    names = {name for name, _, _ in recorded}
    assert names.isdisjoint({"fye_first_token_ms", "fye_ttft_ms", "fye_tpot_ms"})
    assert "fye_total_ms" in names


@pytest.mark.parametrize(("error", "outcome"), [(None, "ok"), *ERRORS], ids=lambda v: repr(v))
def test_classification_is_counted_and_logged(
    recorded: Recorded, logged: Logged, error: BaseException | None, outcome: str
) -> None:
    request = replace(context(), x_request_id="theirs")
    raised = pytest.raises(type(error)) if error else nullcontext()
    with raised, RequestMetrics().detection(request, OFF):
        if error:
            raise error
    tags = {"call": "detect", "persona": "none", "adapter": "none", "outcome": outcome}
    assert recorded == [("fye_requests", 1, tags)]
    line = logged()
    assert (line["event"], line["call"], line["outcome"]) == ("request", "detect", outcome)
    assert (line["request_id"], line["x_request_id"]) == ("m-1", "theirs")


def test_request_that_never_reached_the_pipeline_is_counted(
    recorded: Recorded, logged: Logged
) -> None:
    RequestLog().record("respond", "invalid", "theirs")
    assert counted(recorded) == [("none", "invalid")]
    line = logged()
    del line["timestamp"]
    assert line == {
        "event": "request",
        "call": "respond",
        "outcome": "invalid",
        "x_request_id": "theirs",
        "persona": "none",
        "adapter": None,
    }
