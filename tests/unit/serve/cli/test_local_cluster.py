"""Private Ray cluster of the commands: its CPUs, and waiting for the graph."""

import os
import threading

import httpx
import pytest

from serve.cli import local_cluster
from serve.cli.local_cluster import cpus_for_ray, wait_ready
from serve.config import DetectorConfig, Replicas, ServeConfig
from serve.errors import ServingError


@pytest.fixture(autouse=True)
def _short_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_cluster, "POLL_INTERVAL_S", 0.01)
    monkeypatch.setattr(local_cluster, "_unhealthy_deployments", lambda: "Responder")


@pytest.mark.parametrize(("maximum", "cpus"), [(1, 0.5), (64, 2.0)])
def test_ray_gets_enough_cpus_for_every_replica(maximum: int, cpus: float) -> None:
    config = ServeConfig(detector=DetectorConfig(replicas=Replicas(maximum=maximum, cpus=cpus)))
    responder = config.responder.replicas
    needed = maximum * cpus + responder.maximum * responder.cpus
    assert cpus_for_ray(config) >= max(os.cpu_count() or 1, needed)


def test_waits_through_refused_connections_until_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    replies = [httpx.ConnectError("refused"), httpx.Response(503), httpx.Response(200)]

    def get(url: str, timeout: float) -> httpx.Response:
        assert url.endswith("/readyz")
        reply = replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    monkeypatch.setattr(httpx, "get", get)
    wait_ready("127.0.0.1", 8000, threading.Event())
    assert replies == []


def test_times_out_if_never_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_cluster, "START_TIMEOUT_S", 0)
    monkeypatch.setattr(httpx, "get", lambda url, timeout: httpx.Response(503))
    with pytest.raises(ServingError, match="timed out"):
        wait_ready("127.0.0.1", 8000, threading.Event())


def test_returns_if_stopped() -> None:
    stop = threading.Event()
    stop.set()
    wait_ready("127.0.0.1", 8000, stop)
