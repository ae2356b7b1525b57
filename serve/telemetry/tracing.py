"""Traces across the deployments, for a collector of OTLP over HTTP. Spans hold no user text.

Responder: request -> detect   -> Detector: batch
                   -> generate -> vLLM: llm_request

Calls between deployments carry their span as W3C headers. OpenTelemetry's current span is not
used, because a generator may be closed in another context. Without an endpoint there are no
spans, and OpenTelemetry is not imported.
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
Kind = Literal["SERVER", "CLIENT", "INTERNAL"]
CARRIED = ("traceparent", "tracestate")
NAMESPACE = "face-your-emotions"
CLOSE_TIMEOUT_S = 3.0
SERVER_ERROR = 500


class Span:
    """Span that is not recorded. As a context manager it ends with its block."""

    def __init__(self, carrier: Carrier | None = None) -> None:
        """Keep `carrier`, the W3C headers that make this span the parent of others."""
        self.carrier: Carrier = carrier or {}

    def set(self, **attributes: str | float | None) -> None:
        """Set attributes. Those that are None are left out."""

    def __enter__(self) -> "Span":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        return


OFF = Span()


class Tracing:
    """Spans of one replica."""

    def __init__(self, config: TracingConfig, deployment: str) -> None:
        """Open the exporter if the configuration names an endpoint."""
        self._provider = _open(config.endpoint, deployment) if config.endpoint else None
        self._tracer = self._provider.get_tracer(__name__) if self._provider else None

    def span(self, name: str, parent: Carrier, kind: Kind, began_s: float | None = None) -> Span:
        """Start a span.

        Args:
            name: name of the span.
            parent: W3C headers of the parent; empty for a new trace.
            kind: OpenTelemetry's span kind.
            began_s: start, of `time.monotonic`; None for now.
        """
        if self._tracer is None:
            return OFF
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        context = TraceContextTextMapPropagator().extract(parent, Context())
        start_ns = None
        if began_s is not None:
            start_ns = time.time_ns() - round((time.monotonic() - began_s) * 1e9)
        return _RecordedSpan(
            self._tracer.start_span(name, context, SpanKind[kind], start_time=start_ns)
        )

    def close(self) -> None:
        """Send the remaining spans. A collector that does not answer is not waited for."""
        if self._provider is not None:
            sending = threading.Thread(target=self._provider.shutdown, daemon=True)
            sending.start()
            sending.join(CLOSE_TIMEOUT_S)


class _RecordedSpan(Span):
    def __init__(self, span: "trace.Span") -> None:
        from opentelemetry.trace import set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, set_span_in_context(span))
        super().__init__(carrier)
        self._span = span

    def set(self, **attributes: str | float | None) -> None:
        known = {f"fye.{name}": value for name, value in attributes.items() if value is not None}
        self._span.set_attributes(known)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """Record only the error's type, since its message may contain user text.

        Client errors and disconnects do not mark the span as failed.
        """
        from opentelemetry.trace import StatusCode

        if kind is not None and issubclass(kind, Exception):
            self._span.set_attribute("error.type", kind.__name__)
            if not issubclass(kind, FyeError) or kind.status >= SERVER_ERROR:
                self._span.set_status(StatusCode.ERROR)
        self._span.end()


def _open(endpoint: str, deployment: str) -> "TracerProvider":
    """Return a provider of this deployment's own, since vLLM takes the global one.

    The SDK reads headers and sampling from the OTEL_... environment variables.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.namespace": NAMESPACE, "service.name": deployment})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return provider
