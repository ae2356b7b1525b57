"""Metrics of the running graph, as Prometheus reads them from the node."""

import re
import time
from dataclasses import dataclass

import httpx

from support.running_graph import Graph

LABEL = re.compile(r'(\w+)="([^"]*)"')
LIMIT_S = 30  # Ray exports every few seconds


def node_metrics() -> str:
    import ray

    port = next(node["MetricsExportPort"] for node in ray.nodes() if node["Alive"])  # type: ignore[no-untyped-call]
    return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text


def counted(text: str, name: str, **labels: str) -> float:
    lines = [line for line in text.splitlines() if line.startswith(name)]
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in lines
        if labels.items() <= dict(LABEL.findall(line)).items()
    )


@dataclass(frozen=True)
class Counter:
    """A counter of the node, which the tests before have raised, and its value at the start."""

    name: str
    labels: dict[str, str]
    before: float

    def until_raised(self, by: float = 1) -> str:
        """Wait until it has risen by so much, and return all metrics."""
        deadline_s = time.monotonic() + LIMIT_S
        while counted(text := node_metrics(), self.name, **self.labels) < self.before + by:
            assert time.monotonic() < deadline_s, f"{self} did not rise by {by}"
            time.sleep(1)
        return text


def counter(name: str, **labels: str) -> Counter:
    return Counter(name, labels, counted(node_metrics(), name, **labels))


def test_counts_requests_tokens_and_times_by_persona(graph: Graph, client: httpx.Client) -> None:
    requests = counter(
        "ray_fye_requests",
        call="respond",
        persona="surprise",
        adapter="surprise@scripted",
        outcome="ok",
    )
    tokens = counter("ray_fye_tokens", persona="surprise", kind="completion")
    times = counter("ray_fye_total_ms_count", persona="surprise")
    for _ in range(3):
        body = {"text": "such surprise", "max_tokens": 3}
        assert client.post("/v1/respond", json=body).status_code == 200
    requests.until_raised(by=3)
    tokens.until_raised(by=9)
    text = times.until_raised(by=3)
    ttft_ms = counted(text, "ray_fye_ttft_ms_sum", persona="surprise")
    total_ms = counted(text, "ray_fye_total_ms_sum", persona="surprise")
    assert counted(text, "ray_fye_first_token_ms_sum", persona="surprise") <= ttft_ms < total_ms
    average_ms = total_ms / counted(text, "ray_fye_total_ms_count", persona="surprise")
    assert 500 < average_ms < 30_000  # three tokens take 600 ms, and no test asks for fewer
    assert "such surprise" not in text


def test_counts_detector_batches_by_size(graph: Graph, client: httpx.Client) -> None:
    texts = counter("ray_fye_batch_texts_sum")
    requests = counter("ray_fye_requests", call="detect", outcome="ok")
    assert client.post("/v1/detect", json={"text": ["such joy"] * 64}).status_code == 200
    # Two batches of 32, each of which Ray adds as 24, the middle of its bucket.
    text = texts.until_raised(by=48)
    assert counted(text, "ray_fye_batch_texts_sum") / counted(text, "ray_fye_batch_texts_count") > 1
    requests.until_raised()


def test_counts_invalid_and_admin_requests(graph: Graph, client: httpx.Client) -> None:
    invalid = counter("ray_fye_requests", call="respond", outcome="invalid")
    admin = counter("ray_fye_requests", call="admin", outcome="ok")
    assert client.post("/v1/respond", json={"text": 5}).status_code == 422
    assert client.get("/v1/admin/adapters").status_code == 200
    invalid.until_raised()
    admin.until_raised()


def test_counts_timed_out_requests(graph: Graph, client: httpx.Client) -> None:
    late = counter("ray_fye_requests", persona="love", outcome="deadline_exceeded")
    soon = {"x-request-timeout-ms": "500"}
    reply = client.post("/v1/respond", json={"text": "such love"}, headers=soon)
    assert reply.status_code == 504
    late.until_raised()


def test_the_server_returns_the_metrics_of_its_machine(client: httpx.Client) -> None:
    requests = counter("ray_fye_requests", call="detect")
    assert client.post("/v1/detect", json={"text": "such joy"}).status_code == 200
    requests.until_raised()
    reply = client.get("/metrics")
    assert reply.status_code == 200
    assert counted(reply.text, "ray_fye_requests", call="detect") > requests.before
