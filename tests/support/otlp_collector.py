"""Trace collector on loopback that receives OTLP over HTTP and keeps every span."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

TIMEOUT_S = 60  # exporters send spans every few seconds
POLL_S = 0.2


@dataclass(frozen=True)
class CollectedSpan:
    """Span as it arrived. Ids are in hex; a root span has an empty parent."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    failed: bool
    start_ns: int
    end_ns: int


@dataclass
class Collector:
    """Running collector."""

    endpoint: str
    bodies: list[bytes] = field(default_factory=list)  # every request body that arrived

    def spans(self, trace: str | None = None) -> list[CollectedSpan]:
        """List the spans of one trace, or of all."""
        spans = [span for body in list(self.bodies) for span in _parse(body)]
        return [span for span in spans if trace in {None, span.trace}]

    def wait_for(self, *names: str, trace: str | None = None) -> dict[str, CollectedSpan]:
        """Wait until exactly the spans with these names have arrived, and return them by name."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while sorted(found := [span.name for span in self.spans(trace)]) != sorted(names):
            assert time.monotonic() < deadline_s, f"received spans {found}, expected {names}"
            time.sleep(POLL_S)
        return {span.name: span for span in self.spans(trace)}

    def find(self, wanted: Callable[[CollectedSpan], bool]) -> CollectedSpan:
        """Wait for the first span that matches."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while not (found := [span for span in self.spans() if wanted(span)]):
            assert time.monotonic() < deadline_s, "no matching span arrived"
            time.sleep(POLL_S)
        return found[0]


@contextmanager
def run_collector() -> Iterator[Collector]:
    """Run a collector on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}/v1/traces")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield collector
        server.shutdown()


def _parse(body: bytes) -> Iterator[CollectedSpan]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        attributes = {pair.key: _value(pair.value) for pair in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield _collected(str(attributes["service.name"]), span)


def _collected(service: str, span: Span) -> CollectedSpan:
    return CollectedSpan(
        service=service,
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        attributes={pair.key: _value(pair.value) for pair in span.attributes},
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
    )


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None
