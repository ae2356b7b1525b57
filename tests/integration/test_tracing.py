"""Traces of a running graph: one for each request, through two processes, without user text."""

from collections.abc import Iterator

import httpx
import pytest

from serve.config import (
    SCRIPTED,
    DetectorConfig,
    Replicas,
    ResponderConfig,
    ServeConfig,
    TracingConfig,
)
from support.otlp_collector import CollectedSpan, Collector, run_collector
from support.running_graph import Graph

SECRET = "what-the-user-wrote"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CHAT = "/v1/chat/completions"
NAMES = ("request", "detect", "batch", "generate")
FREE = Replicas(cpus=0)  # next to the graph of the other tests
APP = "traced"


def config(endpoint: str) -> ServeConfig:
    return SCRIPTED.model_copy(
        update={
            "detector": DetectorConfig(kind="scripted", harm=False, replicas=FREE),
            "responder": ResponderConfig(kind="scripted", replicas=FREE),
            "tracing": TracingConfig(endpoint=endpoint),
        }
    )


@pytest.fixture(scope="module")
def collector(graph: Graph) -> Iterator[Collector]:
    """Gets the traces of a second application, under `/traced`."""
    from ray import serve

    from serve.app import build

    with run_collector() as collector:
        serve.run(build(config(collector.endpoint)), name=APP, route_prefix=f"/{APP}")
        yield collector
        serve.delete(APP)


@pytest.fixture
def traced(graph: Graph, collector: Collector) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{graph.url}/{APP}", timeout=30) as client:
        yield client


def check_parents(spans: dict[str, CollectedSpan], root: str) -> None:
    parents = {
        name: next((other for other, span in spans.items() if span.id == spans[name].parent), None)
        for name in spans
    }
    assert spans["request"].parent == root
    assert parents == {
        "request": None,
        "detect": "request",
        "batch": "detect",
        "generate": "request",
    }
    assert {name: span.service for name, span in spans.items()} == {
        "request": "responder",
        "detect": "responder",
        "batch": "detector",
        "generate": "responder",
    }


@pytest.mark.parametrize("stream", [False, True])
def test_request_continues_the_callers_trace(
    traced: httpx.Client, collector: Collector, stream: bool
) -> None:
    trace = TRACE[:-1] + str(int(stream))
    headers = {
        "traceparent": f"00-{trace}-{CALLER}-01",
        "x-request-id": f"call-{stream}",
        "authorization": f"Bearer {SECRET}-key",
    }
    body = {"text": f"such love, {SECRET}", "max_tokens": 3, "stream": stream}
    assert traced.post("/v1/respond", json=body, headers=headers).status_code == 200
    spans = collector.wait_for(*NAMES, trace=trace)
    check_parents(spans, root=CALLER)
    told = spans["request"].attributes
    assert (told["fye.x_request_id"], told["fye.persona"], told["fye.outcome"]) == (
        f"call-{stream}",
        "love",
        "ok",
    )
    assert (told["fye.prompt_tokens"], told["fye.completion_tokens"]) == (4, 3)
    parts = sum(told[f"fye.{part}_ms"] for part in ("queue", "detect", "first_token", "generate"))
    assert parts == pytest.approx(told["fye.total_ms"], rel=0.05)
    assert (spans["batch"].attributes, spans["generate"].attributes["fye.adapter"]) == (
        {"fye.texts": 1},
        "love@scripted",
    )
    assert not any(span.failed for span in spans.values())
    assert SECRET.encode() not in b"".join(collector.bodies)


def test_request_without_a_trace_starts_one(traced: httpx.Client, collector: Collector) -> None:
    reply = traced.post(
        CHAT,
        json={"messages": [{"role": "user", "content": SECRET}], "max_tokens": 2},
        headers={"x-request-id": "alone"},
    )
    assert reply.status_code == 200
    trace = trace_of(collector, "alone")
    check_parents(collector.wait_for(*NAMES, trace=trace), root="")


def test_chosen_emotion_without_safety_check_skips_detection(
    traced: httpx.Client, collector: Collector
) -> None:
    """An emotion was chosen, and the safety check is off."""
    body = {"text": SECRET, "emotion": "joy", "max_tokens": 2}
    reply = traced.post("/v1/respond", json=body, headers={"x-request-id": "chosen"})
    assert (reply.json()["persona"], reply.json()["timings_ms"]["detect"]) == ("joy", 0)
    collector.wait_for("request", "generate", trace=trace_of(collector, "chosen"))


def test_detect_request_is_a_trace(traced: httpx.Client, collector: Collector) -> None:
    trace = TRACE[::-1]
    headers = {"traceparent": f"00-{trace}-{CALLER}-01", "x-request-id": "detects"}
    assert (
        traced.post("/v1/detect", json={"text": [SECRET, "joy"]}, headers=headers).status_code
        == 200
    )
    spans = collector.wait_for("request", "detect", "batch", trace=trace)
    assert (spans["request"].parent, spans["detect"].parent, spans["batch"].parent) == (
        CALLER,
        spans["request"].id,
        spans["detect"].id,
    )
    assert spans["request"].attributes["fye.x_request_id"] == "detects"
    assert SECRET.encode() not in b"".join(collector.bodies)


def trace_of(collector: Collector, x_request_id: str) -> str:
    return collector.find(
        lambda span: span.attributes.get("fye.x_request_id") == x_request_id
    ).trace
