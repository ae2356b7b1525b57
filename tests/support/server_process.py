"""Starts and ends `python -m serve run`, as a newcomer does."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from load.harness.ports import free_port

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 600


@dataclass(frozen=True)
class Server:
    """A running `python -m serve run`."""

    process: subprocess.Popen[str]
    url: str
    log: Path


def start_server(log: Path, *arguments: str) -> Server:
    """Starts the command of `make serve` on a free port and waits for its ready line."""
    port = free_port()
    command = [sys.executable, "-m", "serve", "run", "--port", str(port), *arguments]
    with log.open("w") as stream:
        process = subprocess.Popen(command, cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT, text=True, env=dict(os.environ))
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not re.search(r"^Ready after", log.read_text(), re.MULTILINE):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline_s, log.read_text()
        time.sleep(0.5)
    return Server(process, f"http://127.0.0.1:{port}", log)


def stop_server(server: Server) -> int:
    """Ctrl-C, and the exit status."""
    server.process.send_signal(signal.SIGINT)
    return server.process.wait(timeout=90)
