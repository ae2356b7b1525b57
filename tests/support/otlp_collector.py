"""A collector of traces on loopback, which speaks OTLP over HTTP and keeps what it is sent."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

LIMIT_S = 60  # spans are sent every few seconds


@dataclass(frozen=True)
class Seen:
    """A span as it arrived. Ids are in hex, an absent parent is empty."""

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
    """`bodies` is every byte that arrived."""

    endpoint: str
    bodies: list[bytes] = field(default_factory=list)

    def spans(self, trace: str | None = None) -> list[Seen]:
        return [span for body in list(self.bodies) for span in _parsed(body) if trace in {None, span.trace}]

    def wait_for(self, *names: str, trace: str | None = None) -> dict[str, Seen]:
        """The spans of those names, one of each, once all have come."""
        deadline_s = time.monotonic() + LIMIT_S
        while sorted(span.name for span in self.spans(trace)) != sorted(names):
            assert time.monotonic() < deadline_s, f"there came {[span.name for span in self.spans(trace)]}, not {names}"
            time.sleep(0.2)
        return {span.name: span for span in self.spans(trace)}

    def find(self, wanted: Callable[[Seen], bool]) -> Seen:
        """The first such span, once it has come."""
        deadline_s = time.monotonic() + LIMIT_S
        while not (found := [span for span in self.spans() if wanted(span)]):
            assert time.monotonic() < deadline_s, "there came no such span"
            time.sleep(0.2)
        return found[0]


@contextmanager
def collecting() -> Iterator[Collector]:
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


def _parsed(body: bytes) -> Iterator[Seen]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = next(pair.value.string_value for pair in resource.resource.attributes if pair.key == "service.name")
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            attributes = {pair.key: _value(pair.value) for pair in span.attributes}
            ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
            failed = span.status.code == span.status.STATUS_CODE_ERROR
            yield Seen(service, span.name, *ids, attributes, failed, span.start_time_unix_nano, span.end_time_unix_nano)


def _value(value: AnyValue) -> Any:
    return getattr(value, value.WhichOneof("value"))
