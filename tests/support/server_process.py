"""Start and stop `python -m serve run` as a user does."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from load.harness.ports import free_port

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 600
STOP_TIMEOUT_S = 90
POLL_S = 0.5


@dataclass(frozen=True)
class Server:
    """Running `python -m serve run`."""

    process: subprocess.Popen[str]
    url: str
    log: Path  # its stdout and stderr


def start_server(log: Path, *arguments: str, own_group: bool = False) -> Server:
    """Run the command of `make serve` on a free port until it is ready.

    With `own_group` it gets a process group, to which signals can be sent.
    """
    port = free_port()
    command = [sys.executable, "-m", "serve", "run", "--port", str(port), *arguments]
    with log.open("w") as stream:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=stream,
            stderr=subprocess.STDOUT,
            text=True,
            env=dict(os.environ),
            process_group=0 if own_group else None,
        )
    try:
        _wait_ready(process, log)
    except BaseException:
        end_server(process)
        raise
    return Server(process, f"http://127.0.0.1:{port}", log)


def _wait_ready(process: subprocess.Popen[str], log: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not re.search(r"^Ready after", log.read_text(), re.MULTILINE):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline_s, log.read_text()
        time.sleep(POLL_S)


def stop_server(server: Server) -> int:
    """Send Ctrl-C and return the exit status."""
    server.process.send_signal(signal.SIGINT)
    try:
        return server.process.wait(timeout=STOP_TIMEOUT_S)
    finally:
        end_server(server.process)


def end_server(process: subprocess.Popen[str]) -> None:
    """Kill the command and all that it has started, if it has not ended by itself."""
    if process.poll() is None:
        started = psutil.Process(process.pid).children(recursive=True)
        for each in (psutil.Process(process.pid), *started):
            with suppress(psutil.NoSuchProcess):
                each.kill()
    process.wait()
