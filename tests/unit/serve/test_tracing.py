"""Traces: whose child a span is, what it says and what it never says, and that without an endpoint there is nothing at all."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

import serve as package
from load.harness.ports import free_port
from models.emotions import Emotion
from serve import tracing as tracing_module
from serve.config import DetectorConfig, ResponderConfig, TracingConfig
from serve.detector.replica import Detector, _Waiting
from serve.engine.protocol import Sampling, TextChunk
from serve.engine.scripted import ScriptedEngine
from serve.errors import DeadlineExceeded, EngineError, FyeError, Overloaded
from serve.metrics import Telemetry
from serve.pipeline.respond import answer
from serve.pipeline.stage_tracing import TracedStages
from serve.responder.replica import Piece, Responder
from serve.responder.runtime import open_backend
from serve.tracing import OFF, Carrier, Tracing
from support.fakes import FakeStages, message
from support.otlp_collector import Collector, Seen, collecting

SECRET = "what-the-user-wrote"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
INCOMING = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=1"}
DETECTOR = DetectorConfig(kind="scripted", batch_size=8)
RESPONDER = ResponderConfig(kind="scripted", scripted_token_s=0)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
def traced(collector: Collector) -> Callable[[Callable[[Tracing], None]], dict[str, Seen]]:
    """What arrives of what is done with a stage's tracing."""

    def run(use: Callable[[Tracing], None]) -> dict[str, Seen]:
        tracing = Tracing(TracingConfig(endpoint=collector.endpoint), "stage")
        use(tracing)
        tracing.close()
        return {span.name: span for span in collector.spans()}

    return run


Traced = Callable[[Callable[[Tracing], None]], dict[str, Seen]]


def test_a_span_is_the_child_of_what_it_was_given(traced: Traced) -> None:
    def use(tracing: Tracing) -> None:
        with tracing.span("outer", INCOMING, "SERVER") as outer, tracing.span("inner", outer.carrier, "CLIENT") as inner:
            assert inner.carrier["tracestate"] == "vendor=1"

    spans = traced(use)
    assert {span.trace for span in spans.values()} == {TRACE}
    assert (spans["outer"].parent, spans["inner"].parent) == (CALLER, spans["outer"].id)
    assert spans["outer"].service == "stage"


@pytest.mark.parametrize("parent", [{}, {"traceparent": "nonsense"}, {"tracestate": "vendor=1"}], ids=str)
def test_without_a_parent_a_trace_begins(traced: Traced, parent: Carrier) -> None:
    span = traced(lambda tracing: tracing.span("first", parent, "SERVER").__exit__(None, None, None))["first"]
    assert (span.parent, len(span.trace)) == ("", 32)


def test_what_the_caller_does_not_sample_is_not_sent_but_passed_on(collector: Collector) -> None:
    tracing = Tracing(TracingConfig(endpoint=collector.endpoint), "stage")
    with tracing.span("unsampled", {"traceparent": f"00-{TRACE}-{CALLER}-00"}, "SERVER") as span:
        assert span.carrier["traceparent"].startswith(f"00-{TRACE}-")
        assert span.carrier["traceparent"].endswith("-00")
    tracing.close()
    assert collector.spans() == []


def test_a_span_may_have_begun_before(traced: Traced) -> None:
    began_s = time.monotonic() - 2
    span = traced(lambda tracing: tracing.span("late", {}, "SERVER", began_s).__exit__(None, None, None))["late"]
    assert (span.end_ns - span.start_ns) / 1e9 == pytest.approx(2, abs=0.5)


@pytest.mark.parametrize(("error", "failed"), [(EngineError(SECRET), True), (ValueError(SECRET), True), (Overloaded(SECRET), False)])
def test_an_error_leaves_its_name_and_not_its_words(traced: Traced, collector: Collector, error: Exception, failed: bool) -> None:
    def use(tracing: Tracing) -> None:
        with pytest.raises(type(error)), tracing.span("bad", {}, "SERVER"):
            raise error

    span = traced(use)["bad"]
    assert (span.failed, span.attributes) == (failed, {"error.type": type(error).__name__})
    assert SECRET.encode() not in b"".join(collector.bodies)


async def whole(events: AsyncGenerator[object]) -> None:
    async for _ in events:
        pass


async def answered(collector: Collector, stages: FakeStages, **changes: object) -> dict[str, Seen]:
    """A message's way through the ingress, as `Ingress.answer` takes it."""
    tracing, asked = Tracing(TracingConfig(endpoint=collector.endpoint), "ingress"), message(SECRET, **changes)  # type: ignore[arg-type]
    span = tracing.span("request", INCOMING, "SERVER", asked.began_s)
    asked = replace(asked, trace=span.carrier)
    with suppress(FyeError):
        await whole(Telemetry().watched(asked, answer(TracedStages(stages, tracing), asked), span))
    await asyncio.to_thread(tracing.close)
    return {span.name: span for span in collector.spans()}


async def test_the_request_says_how_it_went_and_the_stages_are_its_children(collector: Collector) -> None:
    stages = FakeStages((Piece(SECRET + " to you"), Piece("", "stop", 5, 2)), best=Emotion.LOVE)
    spans = await answered(collector, stages)
    assert set(spans) == {"request", "detect", "respond"}
    request = spans["request"]
    assert (spans["detect"].parent, spans["respond"].parent, request.parent) == (request.id, request.id, CALLER)
    assert stages.asked[0].trace["traceparent"] == f"00-{TRACE}-{spans['respond'].id}-01"
    assert stages.traces[0]["traceparent"] == f"00-{TRACE}-{spans['detect'].id}-01"
    told = {name.removeprefix("fye."): value for name, value in request.attributes.items()}
    assert (told["request_id"], told["persona"], told["outcome"]) == ("m-1", "love", "ok")
    assert (told["prompt_tokens"], told["completion_tokens"]) == (5, 2)
    assert {"queue_ms", "detect_ms", "first_token_ms", "generate_ms", "total_ms"} < set(told)
    assert SECRET.encode() not in b"".join(collector.bodies)


@pytest.mark.parametrize(("error", "outcome", "failed"), [(EngineError("no"), "failed", True), (Overloaded("no"), "refused", False)])
async def test_a_request_that_fails_says_how(collector: Collector, error: Exception, outcome: str, failed: bool) -> None:
    request = (await answered(collector, FakeStages((Piece("Oh"),), fails=error)))["request"]
    assert (request.attributes["fye.outcome"], request.failed) == (outcome, failed)


async def test_a_client_who_leaves_ends_every_span(collector: Collector) -> None:
    tracing, asked = Tracing(TracingConfig(endpoint=collector.endpoint), "ingress"), message(SECRET)
    span = tracing.span("request", {}, "SERVER")
    events = Telemetry().watched(asked, answer(TracedStages(FakeStages(), tracing), asked), span)
    async with aclosing(events):
        await anext(events)
        await anext(events)
    await asyncio.to_thread(tracing.close)
    spans = {span.name: span for span in collector.spans()}
    assert set(spans) == {"request", "detect", "respond"}
    assert spans["request"].attributes["fye.outcome"] == "left"
    assert not any(span.failed for span in spans.values())


async def test_each_request_of_a_batch_sees_it_in_its_own_trace(collector: Collector) -> None:
    detector = Detector(DETECTOR, TracingConfig(endpoint=collector.endpoint))
    other = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}
    await detector._read_together([_Waiting("a", INCOMING), _Waiting("b", INCOMING), _Waiting("c", other), _Waiting("d", {})])
    await asyncio.to_thread(detector._tracing.close)
    spans = collector.spans()
    assert [(span.name, span.attributes["fye.texts"]) for span in spans] == [("batch", 4)] * 2
    assert {(span.trace, span.parent) for span in spans} == {(TRACE, CALLER), ("1" * 32, "2" * 16)}


async def test_a_generation_is_a_span_and_the_engine_gets_it(collector: Collector) -> None:
    class Recording(ScriptedEngine):
        traces: list[Carrier | None] = []  # noqa: RUF012 (one test's)

        def generate(
            self, request_id: str, prompt: list[int], adapter: str | None, sampling: Sampling, trace: Carrier | None = None
        ) -> AsyncGenerator[TextChunk]:
            self.traces.append(trace)
            return super().generate(request_id, prompt, adapter, sampling, trace)

    backend = await open_backend(RESPONDER)
    engine = Recording(tuple(backend.aliases.values()), 0)
    responder = Responder(RESPONDER, replace(backend, engine=engine), tracing=TracingConfig(endpoint=collector.endpoint))
    stages = FakeStages()
    await whole(answer(stages, message(SECRET)))
    [ask] = stages.asked
    await whole(responder.respond(replace(ask, trace=INCOMING)))
    await responder.close()
    [span] = collector.spans()
    assert (span.name, span.trace, span.parent, span.service) == ("generate", TRACE, CALLER, "responder")
    assert span.attributes == {"fye.request_id": "m-1", "fye.adapter": "fear@scripted", "fye.prompt_tokens": 2}
    assert engine.traces == [{"traceparent": f"00-{TRACE}-{span.id}-01", "tracestate": "vendor=1"}]


def test_without_an_endpoint_a_span_is_nothing_and_nothing_is_loaded() -> None:
    code = """
import sys
from serve.config import NO_TRACES
from serve.tracing import OFF, Tracing
tracing = Tracing(NO_TRACES, "stage")
with tracing.span("request", {"traceparent": "x"}, "SERVER", 1.0) as span:
    span.note(outcome="ok")
tracing.close()
assert span is OFF and dict(span.carrier) == {}, span
assert not [name for name in sys.modules if name.startswith(("opentelemetry", "requests"))]
"""
    subprocess.run([sys.executable, "-c", code], cwd=Path(package.__file__).parents[1], check=True)


def test_a_collector_that_is_not_there_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing_module, "CLOSE_S", 0.2)
    tracing = Tracing(TracingConfig(endpoint=f"http://127.0.0.1:{free_port()}/v1/traces"), "stage")
    began_s = time.monotonic()
    for _ in range(3000):  # more than are kept
        tracing.span("lost", {}, "SERVER").__exit__(None, None, None)
    tracing.close()
    assert time.monotonic() - began_s < 3


def test_nothing_of_an_incoming_trace_is_passed_on_without_an_endpoint() -> None:
    assert Tracing(TracingConfig(), "ingress").span("request", INCOMING, "SERVER").carrier == OFF.carrier == {}


@pytest.mark.parametrize("endpoint", ["localhost:4318", "grpc://localhost:4317", ""])
def test_an_endpoint_that_is_no_url_is_refused(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="endpoint"):
        TracingConfig(endpoint=endpoint)


def test_a_late_request_is_a_failure_of_the_servers(traced: Traced) -> None:
    def use(tracing: Tracing) -> None:
        with pytest.raises(DeadlineExceeded), tracing.span("late", {}, "SERVER"):
            raise DeadlineExceeded("late")

    assert traced(use)["late"].failed
