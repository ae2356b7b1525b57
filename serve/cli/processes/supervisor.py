"""Supervisor of a command: however it ends, no process and no shared memory of it is left.

terminal, systemd -> supervisor -> command, in a session of its own -> Ray, vLLM, HAProxy

A signal to the whole process group reaches the supervisor alone, which passes it on, so that the
command can stop its processes in order. Orphans of the command become children of the supervisor.
"""

import ctypes
import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1  # of linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36
PASSED_ON = {
    signal.SIGINT: signal.SIGINT,
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGHUP: signal.SIGTERM,
}
# Python's shared memory in /proc/PID/maps. What would remove it is killed as well.
SHARED_MEMORY = re.compile(r" (/dev/shm/psm_\w+)$", re.MULTILINE)
SIGNAL_STATUS = 128  # added to the number of the signal that ended a process


def supervise(command: Callable[[], int]) -> int:
    """Run `command` in a process of its own, and return its exit status in both processes.

    If the supervisor is killed, the command gets SIGTERM. If the command is killed, the
    supervisor kills what it has started. Not on Linux, the command runs in this process.
    """
    if sys.platform != "linux":
        return command()
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    supervisor = os.getpid()
    # A signal that arrives before its handler is set waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != supervisor:  # it ended before the line above
            return SIGNAL_STATUS + signal.SIGTERM
        return command()
    for number, passed_on in PASSED_ON.items():
        signal.signal(number, lambda *_, passed_on=passed_on: _send(child, passed_on))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    try:
        return _wait_for(child)
    finally:
        _end_descendants()


def _send(process: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)


def _wait_for(child: int) -> int:
    """Wait until the child has ended, and return its status. Reap orphans meanwhile."""
    while True:
        found, status = os.waitpid(-1, 0)
        if found == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else SIGNAL_STATUS - code


def _end_descendants() -> None:
    """Kill and reap every descendant until there is none, and remove their shared memory."""
    shared = set[str]()
    with suppress(ChildProcessError):
        while True:
            for process in _descendants(os.getpid()):
                shared.update(_shared_memory(process))
                _send(process, signal.SIGKILL)
            os.waitpid(-1, 0)
    for file in shared:
        Path(file).unlink(missing_ok=True)


def _shared_memory(process: int) -> list[str]:
    with suppress(OSError):
        return SHARED_MEMORY.findall(Path(f"/proc/{process}/maps").read_text("utf-8", "replace"))
    return []


def _descendants(root: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                # The name, in parentheses, may contain anything.
                fields = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(folder.name))
    found = set[int]()
    left = [root]
    while left:
        for process in children.get(left.pop(), []):
            found.add(process)
            left.append(process)
    return found
