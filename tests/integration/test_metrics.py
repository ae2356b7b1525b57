"""Metrics of the running graph, as Prometheus reads them from the node."""

import re
import time

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


def until(name: str, least: float, **labels: str) -> str:
    deadline_s = time.monotonic() + LIMIT_S
    while counted(text := node_metrics(), name, **labels) < least:
        assert time.monotonic() < deadline_s, f"{name} {labels} stayed below {least}"
        time.sleep(1)
    return text


def test_counts_requests_tokens_and_times_by_persona(graph: Graph, client: httpx.Client) -> None:
    for _ in range(3):
        assert (
            client.post("/v1/respond", json={"text": "such surprise", "max_tokens": 3}).status_code
            == 200
        )
    text = until(
        "ray_fye_requests",
        3,
        call="respond",
        persona="surprise",
        adapter="surprise@scripted",
        outcome="ok",
    )
    assert counted(text, "ray_fye_ttft_ms_sum", persona="surprise") < counted(
        text, "ray_fye_total_ms_sum", persona="surprise"
    )
    assert counted(text, "ray_fye_ttft_ms_sum", persona="surprise") >= counted(
        text, "ray_fye_first_token_ms_sum", persona="surprise"
    )
    assert counted(text, "ray_fye_tokens", persona="surprise", kind="completion") >= 9
    answers = counted(text, "ray_fye_total_ms_count", persona="surprise")
    assert answers >= 3
    average_ms = counted(text, "ray_fye_total_ms_sum", persona="surprise") / answers
    assert 500 < average_ms < 30_000  # three tokens take 600 ms, and no test asks for fewer
    assert "such surprise" not in text


def test_counts_detector_batches_by_size(graph: Graph, client: httpx.Client) -> None:
    assert client.post("/v1/detect", json={"text": ["such joy"] * 64}).status_code == 200
    text = until(
        "ray_fye_batch_texts_sum", 48
    )  # two batches of 32, each of which Ray adds as 24, the middle of its bucket
    assert counted(text, "ray_fye_batch_texts_sum") / counted(text, "ray_fye_batch_texts_count") > 1
    until("ray_fye_requests", 1, call="detect", outcome="ok")


def test_counts_invalid_and_admin_requests(graph: Graph, client: httpx.Client) -> None:
    assert client.post("/v1/respond", json={"text": 5}).status_code == 422
    assert client.get("/v1/admin/adapters").status_code == 200
    until("ray_fye_requests", 1, call="respond", outcome="invalid")
    until("ray_fye_requests", 1, call="admin", outcome="ok")


def test_counts_timed_out_requests(graph: Graph, client: httpx.Client) -> None:
    assert (
        client.post(
            "/v1/respond", json={"text": "such love"}, headers={"x-request-timeout-ms": "500"}
        ).status_code
        == 504
    )
    until("ray_fye_requests", 1, persona="love", outcome="deadline_exceeded")


def test_the_server_returns_the_metrics_of_its_machine(client: httpx.Client) -> None:
    assert client.post("/v1/detect", json={"text": "such joy"}).status_code == 200
    until("ray_fye_requests", 1, call="detect")
    reply = client.get("/metrics")
    assert reply.status_code == 200
    assert counted(reply.text, "ray_fye_requests", call="detect") >= 1
