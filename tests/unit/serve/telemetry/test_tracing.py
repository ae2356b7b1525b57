"""Traces: parents of spans, their attributes, and that they contain no text of a user."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

import serve as package
from load.harness.ports import free_port
from models.emotions import Emotion
from serve.config import DetectorConfig, TracingConfig
from serve.detector.replica import Detector, _QueuedInput
from serve.errors import DeadlineExceeded, EngineError, Overloaded
from serve.pipeline.answer import Answer, Collector
from serve.telemetry import tracing as tracing_module
from serve.telemetry.tracing import OFF, Carrier, Tracing
from support.fakes import FakeStages, RecordingWriter, context, message
from support.otlp_collector import CollectedSpan, run_collector
from support.otlp_collector import Collector as SpanCollector
from support.responder_parts import CONFIG, Parts, make_responder

CLOCKS_S = 0.05  # between the clock of spans and the monotonic one
SECRET = "what-the-user-wrote"
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
INCOMING = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=1"}
Traced = Callable[[Callable[[Tracing], None]], dict[str, CollectedSpan]]


@pytest.fixture
def collector() -> Iterator[SpanCollector]:
    with run_collector() as collector:
        yield collector


@pytest.fixture
def traced(collector: SpanCollector) -> Traced:
    """Return the spans that arrive when a deployment's tracing is used, by name."""

    def run(use: Callable[[Tracing], None]) -> dict[str, CollectedSpan]:
        tracing = Tracing(TracingConfig(endpoint=collector.endpoint), "stage")
        use(tracing)
        tracing.close()
        return {span.name: span for span in collector.spans()}

    return run


def end(tracing: Tracing, name: str, parent: Carrier, began_s: float | None = None) -> None:
    """Record a span that ends at once."""
    with tracing.span(name, parent, "SERVER", began_s):
        pass


def test_span_is_the_child_of_its_parent(traced: Traced) -> None:
    def use(tracing: Tracing) -> None:
        with (
            tracing.span("outer", INCOMING, "SERVER") as outer,
            tracing.span("inner", outer.carrier, "CLIENT") as inner,
        ):
            assert inner.carrier["tracestate"] == "vendor=1"

    spans = traced(use)
    assert {span.trace for span in spans.values()} == {TRACE}
    assert (spans["outer"].parent, spans["inner"].parent) == (CALLER, spans["outer"].id)
    assert spans["outer"].service == "stage"


@pytest.mark.parametrize(
    "parent", [{}, {"traceparent": "nonsense"}, {"tracestate": "vendor=1"}], ids=str
)
def test_span_without_a_parent_begins_a_trace(traced: Traced, parent: Carrier) -> None:
    span = traced(lambda tracing: end(tracing, "first", parent))["first"]
    assert (span.parent, len(span.trace)) == ("", 32)


def test_unsampled_trace_is_not_sent_but_passed_on(collector: SpanCollector) -> None:
    tracing = Tracing(TracingConfig(endpoint=collector.endpoint), "stage")
    unsampled = {"traceparent": f"00-{TRACE}-{CALLER}-00"}
    with tracing.span("unsampled", unsampled, "SERVER") as span:
        assert span.carrier["traceparent"].startswith(f"00-{TRACE}-")
        assert span.carrier["traceparent"].endswith("-00")
    tracing.close()
    assert collector.spans() == []


def test_span_can_begin_in_the_past(traced: Traced) -> None:
    began_s = time.monotonic() - 2
    span = traced(lambda tracing: end(tracing, "late", {}, began_s))["late"]
    took_s = (span.end_ns - span.start_ns) / 1e9
    assert 2 - CLOCKS_S < took_s < time.monotonic() - began_s + CLOCKS_S


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        (EngineError(SECRET), True),
        (ValueError(SECRET), True),
        (DeadlineExceeded(SECRET), True),
        (Overloaded(SECRET), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_span_has_the_type_of_an_error_but_not_its_message(
    traced: Traced, collector: SpanCollector, error: Exception, failed: bool
) -> None:
    def use(tracing: Tracing) -> None:
        with pytest.raises(type(error)), tracing.span("bad", {}, "SERVER"):
            raise error

    span = traced(use)["bad"]
    assert (span.failed, span.attributes) == (failed, {"error.type": type(error).__name__})
    assert SECRET.encode() not in b"".join(collector.bodies)


def traced_responder(
    collector: SpanCollector, detector: FakeStages | None = None, token_s: float = 0
) -> Parts:
    """Build a responder that sends its spans."""
    tracing = TracingConfig(endpoint=collector.endpoint)
    return make_responder(CONFIG.model_copy(update={"tracing": tracing}), detector, token_s)


async def spans_of(parts: Parts, collector: SpanCollector) -> dict[str, CollectedSpan]:
    """Close a responder and return its spans by name."""
    await asyncio.to_thread(parts.responder._tracing.close)
    return {span.name: span for span in collector.spans()}


async def test_request_is_the_parent_of_its_parts(collector: SpanCollector) -> None:
    parts = traced_responder(collector, FakeStages(emotion=Emotion.LOVE))
    request = replace(context(), trace=INCOMING, x_request_id="theirs")
    await parts.responder.answer(message(SECRET, request=request), Collector())
    spans = await spans_of(parts, collector)
    assert set(spans) == {"request", "detect", "generate"}
    request_span = spans["request"]
    assert request_span.parent == CALLER
    assert spans["detect"].parent == spans["generate"].parent == request_span.id
    assert {span.service for span in spans.values()} == {"responder"}
    assert SECRET.encode() not in b"".join(collector.bodies)


async def test_other_processes_get_their_parent(collector: SpanCollector) -> None:
    parts = traced_responder(collector)
    request = replace(context(), trace=INCOMING)
    await parts.responder.answer(message(SECRET, request=request), Collector())
    spans = await spans_of(parts, collector)
    carried = [
        {"traceparent": f"00-{TRACE}-{spans[name].id}-01", "tracestate": "vendor=1"}
        for name in ("detect", "generate")
    ]
    assert [parts.detector.traces[0], parts.engine.traces[0]] == carried


async def test_request_has_its_ids_figures_and_outcome(collector: SpanCollector) -> None:
    parts = traced_responder(collector, FakeStages(emotion=Emotion.LOVE))
    request = replace(context(), x_request_id="theirs")
    await parts.responder.answer(message(SECRET, request=request), Collector())
    spans = await spans_of(parts, collector)
    attributes = spans["request"].attributes
    found = {name.removeprefix("fye."): value for name, value in attributes.items()}
    expected = {
        "request_id": "m-1",
        "x_request_id": "theirs",
        "persona": "love",
        "adapter": "love@scripted",
        "outcome": "ok",
        "prompt_tokens": 2,
        "completion_tokens": 9,
    }
    assert found.items() >= expected.items()
    parts_ms = {"queue_ms", "detect_ms", "first_token_ms", "generate_ms", "total_ms"}
    assert set(found) == expected.keys() | parts_ms
    assert spans["generate"].attributes == {
        "fye.request_id": "m-1",
        "fye.adapter": "love@scripted",
        "fye.prompt_tokens": 2,
    }
    assert spans["detect"].attributes == {"fye.texts": 1}


@pytest.mark.parametrize(
    ("error", "outcome", "failed"),
    [(EngineError("no"), "failed", True), (Overloaded("no"), "rejected", False)],
    ids=lambda value: str(value),
)
async def test_failed_request_has_its_outcome(
    collector: SpanCollector, error: Exception, outcome: str, failed: bool
) -> None:
    parts = traced_responder(collector, FakeStages((), error=error))
    with pytest.raises(type(error)):
        await parts.responder.answer(message(SECRET), Collector())
    request = (await spans_of(parts, collector))["request"]
    assert (request.attributes["fye.outcome"], request.failed) == (outcome, failed)


async def test_client_that_disconnects_ends_every_span(collector: SpanCollector) -> None:
    class Leaving(RecordingWriter):
        async def text(self, answer: Answer, text: str) -> None:
            raise asyncio.CancelledError

    parts = traced_responder(collector, token_s=0.2)  # the first text is not the whole one
    with pytest.raises(asyncio.CancelledError):
        await parts.responder.answer(message(SECRET), Leaving())
    spans = await spans_of(parts, collector)
    assert set(spans) == {"request", "detect", "generate"}
    assert spans["request"].attributes["fye.outcome"] == "client_disconnected"
    assert not any(span.failed for span in spans.values())


async def test_classification_is_a_request_too(collector: SpanCollector) -> None:
    parts = traced_responder(collector)
    request = replace(context(), trace=INCOMING, x_request_id="theirs")
    await parts.responder.detect([SECRET, SECRET], request)
    spans = await spans_of(parts, collector)
    assert set(spans) == {"request", "detect"}
    assert (spans["request"].parent, spans["detect"].parent) == (CALLER, spans["request"].id)
    assert spans["request"].attributes == {
        "fye.request_id": "m-1",
        "fye.x_request_id": "theirs",
        "fye.outcome": "ok",
    }
    assert spans["detect"].attributes == {"fye.texts": 2}
    assert SECRET.encode() not in b"".join(collector.bodies)


async def test_batch_is_a_span_of_every_request_in_it(collector: SpanCollector) -> None:
    config = DetectorConfig(kind="scripted", batch_size=8)
    detector = Detector(config, TracingConfig(endpoint=collector.endpoint))
    other = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}
    texts = [("a", INCOMING), ("b", INCOMING), ("c", other), ("d", {})]
    await detector._run_batch([_QueuedInput(*text) for text in texts])
    await asyncio.to_thread(detector._tracing.close)
    spans = collector.spans()
    assert [(span.name, span.attributes["fye.texts"]) for span in spans] == [("batch", 4)] * 2
    parents = {(span.trace, span.parent) for span in spans}
    assert parents == {(TRACE, CALLER), ("1" * 32, "2" * 16)}


def test_without_an_endpoint_nothing_is_recorded_or_imported() -> None:
    code = """
import sys
from serve.config import NO_TRACES
from serve.telemetry.tracing import OFF, Tracing
tracing = Tracing(NO_TRACES, "stage")
with tracing.span("request", {"traceparent": "x"}, "SERVER", 1.0) as span:
    span.set(outcome="ok")
tracing.close()
assert span is OFF and dict(span.carrier) == {}, span
assert not [name for name in sys.modules if name.startswith(("opentelemetry", "requests"))]
"""
    subprocess.run([sys.executable, "-c", code], cwd=Path(package.__file__).parents[1], check=True)


def test_missing_collector_delays_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing_module, "CLOSE_TIMEOUT_S", 0.2)
    tracing = Tracing(TracingConfig(endpoint=f"http://127.0.0.1:{free_port()}/v1/traces"), "stage")
    began_s = time.monotonic()
    for _ in range(3000):  # more than the exporter keeps
        end(tracing, "lost", {})
    tracing.close()
    assert time.monotonic() - began_s < 3


def test_incoming_trace_is_not_passed_on_without_an_endpoint() -> None:
    span = Tracing(TracingConfig(), "responder").span("request", INCOMING, "SERVER")
    assert span.carrier == OFF.carrier == {}


@pytest.mark.parametrize("endpoint", ["localhost:4318", "grpc://localhost:4317", ""])
def test_endpoint_must_be_an_http_url(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="endpoint"):
        TracingConfig(endpoint=endpoint)
