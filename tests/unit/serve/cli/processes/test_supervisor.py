"""Supervisor: signals reach the command in order, and nothing is left however it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[5]
TIMEOUT_S = 60
# The command starts an orphan in a session of its own, writes both ids, and waits for SIGTERM. Each
# line is one write: two processes share the output, and `print` may write a line in several parts.
ORPHAN = """
import os, time
if os.fork():
    os._exit(0)
os.setsid()
os.write(1, b"orphan %d\\n" % os.getpid())
time.sleep(600)
"""
COMMAND = f"""
import os, signal, subprocess, sys, time
from serve.cli.processes.supervisor import supervise

def command():
    subprocess.run([sys.executable, "-c", {ORPHAN!r}])
    signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
    os.write(1, b"command %d\\n" % os.getpid())
    time.sleep(600)
    return 0

sys.exit(supervise(command))
"""

# The command's child has shared memory, and its tracker is not told to remove it.
SHARING = """
import os, sys, time
from multiprocessing.shared_memory import SharedMemory
from serve.cli.processes.supervisor import supervise

def command():
    parent = os.getpid()
    if os.fork() == 0:
        memory = SharedMemory(create=True, size=4096)
        os.write(1, f"{memory.name} {parent}\\n".encode())
        time.sleep(600)
    time.sleep(600)
    return 0

sys.exit(supervise(command))
"""


class Running:
    """A supervised command, by the ids of its processes."""

    def __init__(self) -> None:
        self.supervisor = subprocess.Popen(
            [sys.executable, "-c", COMMAND],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.supervisor.stdout is not None
        lines = [self.supervisor.stdout.readline().split() for _ in range(2)]
        ids = {name: int(process) for name, process in lines}
        self.orphan, self.command = ids["orphan"], ids["command"]

    def wait_for_silence(self) -> None:
        """Wait until the last process has closed the output."""
        self.supervisor.communicate(timeout=TIMEOUT_S)


@pytest.fixture
def running() -> Iterator[Running]:
    started = Running()
    yield started
    for process in (started.orphan, started.command, started.supervisor.pid):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    started.wait_for_silence()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_group_ends_the_command_and_its_orphans(
    running: Running, number: signal.Signals
) -> None:
    os.killpg(running.supervisor.pid, number)
    running.wait_for_silence()
    assert running.supervisor.returncode == 7


def test_nothing_is_left_of_a_command_that_was_killed(running: Running) -> None:
    os.kill(running.command, signal.SIGKILL)
    running.wait_for_silence()
    assert running.supervisor.returncode == 128 + signal.SIGKILL


def test_no_shared_memory_is_left_of_a_command_that_was_killed() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SHARING], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        memory, command = process.stdout.readline().split()
        assert Path("/dev/shm", memory).exists()  # noqa: S108 (Linux keeps shared memory there)
        os.kill(int(command), signal.SIGKILL)
        process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
        process.communicate()
    assert not Path("/dev/shm", memory).exists()  # noqa: S108


def test_a_killed_supervisor_ends_the_command(running: Running) -> None:
    running.supervisor.kill()
    os.kill(running.orphan, signal.SIGKILL)  # the command itself must stop its processes now
    running.wait_for_silence()
