"""Private Ray cluster of the commands: its CPUs, and waiting for the graph."""

import os
import threading
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import ray
from ray import serve

from serve.cli import local_cluster
from serve.cli.local_cluster import APP_NAME, cpus_for_ray, serving, wait_ready
from serve.config import DetectorConfig, Replicas, ResponderConfig, ServeConfig
from serve.errors import ServingError


def application(status: str, message: str = "") -> SimpleNamespace:
    """Return Serve's status of the application, with one deployment."""
    responder = SimpleNamespace(status="UPDATING", message=message)
    return SimpleNamespace(status=status, message="", deployments={"Responder": responder})


@pytest.fixture(autouse=True)
def applications(monkeypatch: pytest.MonkeyPatch) -> dict[str, SimpleNamespace]:
    """Replace Serve's status: the application is starting unless a test changes it."""
    found = {APP_NAME: application("DEPLOYING")}
    monkeypatch.setattr(serve, "status", lambda: SimpleNamespace(applications=found))
    monkeypatch.setattr(local_cluster, "POLL_INTERVAL_S", 0.01)
    return found


@pytest.mark.parametrize(
    ("detectors", "cpus", "found"), [(1, 0.5, 8), (5, 1.0, 8), (9, 0.8, 10), (64, 2.0, 130)]
)
def test_ray_gets_enough_cpus_for_every_replica(
    monkeypatch: pytest.MonkeyPatch, detectors: int, cpus: float, found: int
) -> None:
    """On a machine with 8 that also has two responders with one each."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    detector = DetectorConfig(replicas=Replicas(maximum=detectors, cpus=cpus))
    responder = ResponderConfig(kind="scripted", replicas=Replicas(maximum=2, cpus=1))
    assert cpus_for_ray(ServeConfig(detector=detector, responder=responder)) == found


@pytest.mark.parametrize(("host", "named"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_waits_through_refused_connections_until_ready(
    monkeypatch: pytest.MonkeyPatch, host: str, named: str
) -> None:
    replies: list[Exception | httpx.Response] = [
        httpx.ConnectError("refused"),
        httpx.Response(503),
        httpx.Response(200),
    ]

    def get(url: str, timeout: float) -> httpx.Response:
        assert url == f"http://{named}:8000/readyz"
        reply = replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    monkeypatch.setattr(httpx, "get", get)
    wait_ready(host, 8000, threading.Event())
    assert replies == []


def test_stops_waiting_if_a_deployment_failed(
    applications: dict[str, SimpleNamespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    applications[APP_NAME] = application("DEPLOY_FAILED", "the weights are damaged")
    monkeypatch.setattr(httpx, "get", lambda url, timeout: httpx.Response(503))
    with pytest.raises(ServingError, match="the weights are damaged"):
        wait_ready("127.0.0.1", 8000, threading.Event())


def test_times_out_if_never_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_cluster, "START_TIMEOUT_S", 0)
    monkeypatch.setattr(httpx, "get", lambda url, timeout: httpx.Response(503))
    with pytest.raises(ServingError, match="timed out"):
        wait_ready("127.0.0.1", 8000, threading.Event())


def test_returns_if_stopped() -> None:
    stop = threading.Event()
    stop.set()
    wait_ready("127.0.0.1", 8000, stop)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Replace Ray and Serve, and note what is stopped."""
    found = list[str]()
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(local_cluster, "short_folder", lambda *_: tmp_path)
    monkeypatch.setattr(local_cluster, "set_http_environment", lambda *_: None)
    monkeypatch.setattr(local_cluster, "start_local_ray", lambda _: None)
    monkeypatch.setattr(ray, "shutdown", lambda: found.append("ray"))
    monkeypatch.setattr(serve, "shutdown", lambda: found.append("serve"))
    return found


def fail(*_: object, **__: object) -> None:
    raise ServingError("it does not start")


def test_stops_nothing_that_it_has_not_started(
    stopped: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Serve's shutdown would connect to the cluster of RAY_ADDRESS, and stop its Serve."""
    monkeypatch.setattr(local_cluster, "start_local_ray", fail)
    with pytest.raises(ServingError), serving(ServeConfig(), "127.0.0.1", 8000):
        pass
    assert stopped == []
    assert not any(tmp_path.iterdir()), "HAProxy's folder is removed"


def test_stops_serve_and_then_ray_if_the_graph_does_not_start(
    stopped: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "start", fail)
    with pytest.raises(ServingError), serving(ServeConfig(), "127.0.0.1", 8000):
        pass
    assert stopped == ["serve", "ray"]
