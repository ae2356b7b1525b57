"""`python -m serve run`: shutdown, and errors at the start."""

import ipaddress
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from load.harness.ports import free_port
from support.server_process import ROOT, Server, end_server, start_server

STOP_S = 120
SLOW = """
applications:
  - name: face-your-emotions
    route_prefix: /
    import_path: serve.app:build
    args:
      detector: {kind: scripted}
      responder: {kind: scripted, scripted: {token_s: TOKEN_S}}
      http: {drain_s: 300, default_timeout_ms: 300000, max_timeout_ms: 300000}
"""
EVERYWHERE = "0.0.0.0"  # noqa: S104 (it is refused)
DEPLOYMENTS = 3  # Detector, Responder, AdapterController


@pytest.mark.parametrize("ask", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_stopping_drains_and_leaves_no_process_behind(ask: signal.Signals, tmp_path: Path) -> None:
    """A stream of several seconds finishes; after a second signal it ends with an error event."""
    config = tmp_path / "slow.yaml"
    is_ended = ask is signal.SIGINT
    config.write_text(SLOW.replace("TOKEN_S", "30" if is_ended else "1"))
    server = start_server(tmp_path / "log.txt", "--config", str(config))
    children = psutil.Process(server.process.pid).children(recursive=True)
    try:
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert len(children) > 5, "Ray's processes and the replicas"
        check_loopback([psutil.Process(server.process.pid), *children])
        check_drain(server, ask, is_ended)
        assert server.process.wait(timeout=STOP_S) == 0, server.log.read_text()
        assert ("running requests with an error" in server.log.read_text()) == is_ended
        _, alive = psutil.wait_procs(children, timeout=30)
        assert alive == []
    finally:
        end_server(server.process)


def check_drain(server: Server, ask: signal.Signals, is_ended: bool) -> None:
    """Stop the server while it streams: without a second signal, the stream finishes."""
    body = {"text": "such sadness", "stream": True, "max_tokens": 8}
    with httpx.stream("POST", f"{server.url}/v1/respond", json=body, timeout=STOP_S) as reply:
        lines = reply.iter_lines()
        assert next(lines) == "event: emotion"
        server.process.send_signal(ask)
        wait_for(lambda: is_refused(server.url), server.log)
        if is_ended:
            # A request of `is_refused` may be running too.
            wait_for(lambda: "running requests" in server.log.read_text(), server.log)
            server.process.send_signal(ask)
            *_, event, problem, _ = lines
            assert (event, '"urn:face-your-emotions:not-ready"' in problem) == (
                "event: error",
                True,
            )
        else:
            assert "event: done" in list(lines)


def is_refused(url: str) -> bool:
    """Return whether the server's port is closed."""
    try:
        httpx.get(f"{url}/healthz", timeout=STOP_S)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        pass  # it has just been closed
    return False


def wait_for(condition: Callable[[], bool], log: Path) -> None:
    deadline_s = time.monotonic() + STOP_S
    while not condition():
        assert time.monotonic() < deadline_s, log.read_text()
        time.sleep(0.1)


def check_loopback(processes: list[psutil.Process]) -> None:
    """Check every listener: anyone who reaches a port of Ray or of a replica can run code."""
    listening = [
        (ipaddress.ip_address(socket_.laddr.ip), process.name())
        for process in processes
        for socket_ in process.net_connections("inet")
        if socket_.status == psutil.CONN_LISTEN
    ]
    replicas = [name for _, name in listening if name.startswith("ray::Serve")]
    assert len(replicas) > 2 * DEPLOYMENTS, "each has a port of Ray and one for other replicas"
    assert [found for found in listening if not is_loopback(found[0])] == []


def is_loopback(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = (
        address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    )  # ::ffff:127.0.0.1, as gRPC has it
    return (mapped or address).is_loopback


def test_refuses_to_listen_on_all_addresses_without_keys() -> None:
    command = [
        sys.executable,
        "-m",
        "serve",
        "run",
        "--scripted",
        "--host",
        EVERYWHERE,
        "--port",
        str(free_port()),
    ]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ConfigError:")
    assert "api_keys.file" in done.stderr


def test_taken_port_is_reported_without_a_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [
            sys.executable,
            "-m",
            "serve",
            "run",
            "--scripted",
            "--port",
            str(taken.getsockname()[1]),
        ]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
    assert done.returncode == 1
    assert done.stdout == ""
    assert " ".join(done.stderr.split()).startswith("ServingError: cannot listen on 127.0.0.1:")
    assert "Traceback" not in done.stderr
