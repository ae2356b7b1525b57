"""`python -m serve run`: what it leaves behind when it is told to stop, and when it cannot start."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from servers import ROOT, start_server

STOP_S = 30


@pytest.mark.parametrize("ask", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_graph_that_is_told_to_stop_leaves_nothing_behind(ask: signal.Signals, tmp_path: Path) -> None:
    server = start_server(tmp_path / "log.txt", "--scripted")
    children = psutil.Process(server.process.pid).children(recursive=True)
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    assert len(children) > 5, "Ray's processes and the replicas"
    server.process.send_signal(ask)
    assert server.process.wait(timeout=STOP_S) == 0, server.log.read_text()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/healthz")


def test_a_port_that_is_taken_is_one_sentence_and_no_traceback() -> None:
    began_s = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "serve", "run", "--scripted", "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert " ".join(done.stderr.split()).startswith("ServingError: cannot listen on 127.0.0.1:")
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began_s < 20
