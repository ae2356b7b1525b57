"""Traces across the stages, for a collector that speaks OTLP over HTTP. A span says when and how much, never what was said or by whom.

Ingress: request -> detect  -> Detector: batch
                 -> respond -> Responder: generate -> vLLM: llm_request

What travels between the stages carries its span as W3C headers. OpenTelemetry's own current span is not used: an answer is an
asynchronous generator, which may be closed in another context. Without an endpoint there is no span, and OpenTelemetry is not imported.
"""

import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from models.errors import FyeError
from serve.config import TracingConfig

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

Carrier = Mapping[str, str]
Kind = Literal["SERVER", "CLIENT"]
CARRIED = ("traceparent", "tracestate")
NAMESPACE = "face-your-emotions"
CLOSE_S = 3.0


class Span:
    """One that nobody records. As a context manager it ends on the way out. `carrier` makes it the parent of another stage's spans."""

    def __init__(self, carrier: Carrier | None = None) -> None:
        self.carrier: Carrier = carrier or {}

    def note(self, **attributes: str | float | None) -> None:
        """Attributes of the span; those that are None are left out."""

    def __enter__(self) -> "Span":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        return


OFF = Span()


class Tracing:
    """The spans of one stage's replica."""

    def __init__(self, config: TracingConfig, stage: str) -> None:
        self._provider = _open(config.endpoint, stage) if config.endpoint else None
        self._tracer = self._provider.get_tracer(__name__) if self._provider else None

    def span(self, name: str, parent: Carrier, kind: Kind, began_s: float | None = None) -> Span:
        """Begins a span: now, or at `began_s` of `time.monotonic`. An empty `parent` begins a trace."""
        if self._tracer is None:
            return OFF
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        context = TraceContextTextMapPropagator().extract(parent, Context())
        start_ns = None if began_s is None else time.time_ns() - round((time.monotonic() - began_s) * 1e9)
        return _Recorded(self._tracer.start_span(name, context, SpanKind[kind], start_time=start_ns))

    def close(self) -> None:
        """Sends what has not been sent. A collector that does not answer is not waited for."""
        if self._provider is not None:
            sending = threading.Thread(target=self._provider.shutdown, daemon=True)
            sending.start()
            sending.join(CLOSE_S)


class _Recorded(Span):
    def __init__(self, span: "trace.Span") -> None:
        from opentelemetry.trace import set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, set_span_in_context(span))
        super().__init__(carrier)
        self._span = span

    def note(self, **attributes: str | float | None) -> None:
        self._span.set_attributes({f"fye.{name}": value for name, value in attributes.items() if value is not None})

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        """An error leaves its name: its words may be a user's. What the asker did wrong, or that they left, is no failure."""
        from opentelemetry.trace import StatusCode

        if kind is not None and issubclass(kind, Exception):
            self._span.set_attribute("error.type", kind.__name__)
            if not issubclass(kind, FyeError) or kind.status >= 500:
                self._span.set_status(StatusCode.ERROR)
        self._span.end()


def _open(endpoint: str, stage: str) -> "TracerProvider":
    """A provider of this stage's own: vLLM takes the process's global one, and headers and sampling are read by the SDK from OTEL_..."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.namespace": NAMESPACE, "service.name": stage}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return provider
