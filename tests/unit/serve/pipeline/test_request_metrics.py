"""What is counted and logged of an answer, however it ends; and that nothing of what was said is."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext
from dataclasses import replace
from typing import Any

import pytest
from ray.serve import metrics

from models.detector.harm import Category
from models.emotions import Emotion
from serve.errors import DeadlineExceeded, EngineError, Overloaded
from serve.metrics import Telemetry
from serve.pipeline.messages import Event, Said, Texts
from serve.pipeline.respond import answer
from serve.responder.replica import Piece
from serve.tracing import Carrier
from support.fakes import ANSWER, FakeStages, message

SECRET = "what-the-user-wrote"
Recorded = list[tuple[str, float, dict[str, str]]]
ERRORS = {Overloaded("full"): "refused", DeadlineExceeded("late"): "late", EngineError("no"): "failed", ValueError("no"): "failed"}


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    found: Recorded = []

    def note(self: Any, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
        found.append((self.info["name"], value, tags or {}))

    monkeypatch.setattr(metrics.Counter, "inc", note)
    monkeypatch.setattr(metrics.Histogram, "observe", note)
    return found


async def read(events: AsyncGenerator[Event]) -> list[Event]:
    return [event async for event in events]


def outcomes(recorded: Recorded) -> list[tuple[str, str]]:
    return [(tags["persona"], tags["outcome"]) for name, _, tags in recorded if name == "fye_requests"]


async def test_an_answer_is_counted_with_its_persona_tokens_and_times(recorded: Recorded) -> None:
    asked = message("Hm.")
    seen = await read(Telemetry().watched(asked, answer(FakeStages(best=Emotion.LOVE), asked)))
    assert [type(event).__name__ for event in seen] == ["Detected", "Said", "Said", "Finished"]
    assert outcomes(recorded) == [("love", "ok")]
    assert [(value, tags["kind"]) for name, value, tags in recorded if name == "fye_tokens"] == [(5, "prompt"), (2, "completion")]
    names = {name for name, _, _ in recorded}
    parts = {f"fye_{part}_ms" for part in ("queue", "detect", "first_token", "ttft", "tpot", "total")}
    assert names == {"fye_requests", "fye_tokens", *parts}
    assert {tags["persona"] for _, _, tags in recorded} == {"love"}


async def test_a_persona_that_was_asked_for_is_counted_under_its_name(recorded: Recorded) -> None:
    asked = message("Hm.", emotion="calm")
    await read(Telemetry().watched(asked, answer(FakeStages(best=Emotion.LOVE), asked)))
    assert outcomes(recorded) == [("calm", "ok")]


@pytest.mark.parametrize(("error", "outcome"), ERRORS.items())
async def test_an_error_is_counted_as_what_it_is_and_comes_through(recorded: Recorded, error: Exception, outcome: str) -> None:
    asked = message("Hm.")
    with pytest.raises(type(error)):
        await read(Telemetry().watched(asked, answer(FakeStages((Piece("Oh"),), fails=error), asked)))
    assert outcomes(recorded) == [("fear", outcome)]


async def test_a_reader_who_leaves_is_counted_and_the_answer_closed(recorded: Recorded) -> None:
    stages, asked = FakeStages(), message("Hm.")
    async with aclosing(Telemetry().watched(asked, answer(stages, asked))) as events:
        async for event in events:
            if isinstance(event, Said):
                break
    assert outcomes(recorded) == [("fear", "left")]
    assert stages.closed


async def test_a_task_that_is_cancelled_is_counted_as_left(recorded: Recorded) -> None:
    class Stuck(FakeStages):
        async def read(self, texts: list[str], trace: Carrier) -> Any:
            await asyncio.sleep(60)

    asked = message("Hm.")
    task = asyncio.create_task(read(Telemetry().watched(asked, answer(Stuck(), asked))))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert outcomes(recorded) == [("none", "left")]


async def test_a_flagged_message_is_nobodys(recorded: Recorded) -> None:
    asked = message("Hm.")
    await read(Telemetry().watched(asked, answer(FakeStages(harm=Category.SELF_HARM), asked)))
    assert outcomes(recorded) == [("none", "flagged")]


async def test_one_line_of_log_a_request_without_a_word_of_anybody(recorded: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    asked = message(SECRET)
    await read(Telemetry().watched(asked, answer(FakeStages((Piece(SECRET + " to you"), *ANSWER[2:])), asked)))
    [line] = capsys.readouterr().out.splitlines()
    logged = json.loads(line)
    assert SECRET not in line
    assert (logged["event"], logged["request_id"], logged["persona"], logged["outcome"]) == ("request", "m-1", "fear", "ok")
    assert set(logged["timings_ms"]) == {"queue", "detect", "first_token", "generate", "total"}


async def test_the_time_to_the_first_text_counts_from_the_first_byte(recorded: Recorded) -> None:
    asked = replace(message("Hm."), began_s=time.monotonic() - 2)
    await read(Telemetry().watched(asked, answer(FakeStages((Piece("Oh"), *ANSWER[2:])), asked)))
    [ttft_ms] = [value for name, value, _ in recorded if name == "fye_ttft_ms"]
    assert 2000 <= ttft_ms < 3000


async def test_the_version_of_the_adapter_is_counted_and_logged(recorded: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    asked = message("Hm.")
    await read(Telemetry().watched(asked, answer(FakeStages((Piece("Oh", "stop", 5, 1, "fear@1f2e"),)), asked)))
    assert [tags["adapter"] for name, _, tags in recorded if name == "fye_requests"] == ["fear@1f2e"]
    assert json.loads(capsys.readouterr().out)["adapter"] == "fear@1f2e"


@pytest.mark.parametrize(("error", "outcome"), [(None, "ok"), *ERRORS.items()])
async def test_a_call_that_only_detects_is_counted_and_logged(
    recorded: Recorded, capsys: pytest.CaptureFixture[str], error: Exception | None, outcome: str
) -> None:
    with pytest.raises(type(error)) if error else nullcontext(), Telemetry().reading(Texts("d-1", (SECRET,), 0, 9, x_request_id="mine")):
        if error:
            raise error
    assert recorded == [("fye_requests", 1, {"call": "detect", "persona": "none", "adapter": "none", "outcome": outcome})]
    [line] = capsys.readouterr().out.splitlines()
    assert SECRET not in line
    assert {name: json.loads(line)[name] for name in ("event", "call", "request_id", "x_request_id", "outcome")} == {
        "event": "request",
        "call": "detect",
        "request_id": "d-1",
        "x_request_id": "mine",
        "outcome": outcome,
    }
