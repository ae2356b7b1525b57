"""Memory and CPU of a process and its children, grouped by kind of process.

Memory is PSS: a shared page counts in parts, so the sum is the memory that is really in use.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from load.harness.deployments import CONTROLLER, DETECTOR, RESPONDER

ENGINE = "engine"
VLLM_SERVER = "vllm serve, without the engine"
OTHER = "other"  # the process itself, which is the client, and everything that no pattern matches
# Deployment -> kind of its replicas' processes.
REPLICA_KINDS = {
    RESPONDER: "responder, without the engine",
    DETECTOR: "detector",
    CONTROLLER: "adapter controller",
}
# Pattern of the command line -> kind. The first match counts.
PROCESS_KINDS = {
    r"VLLM::": ENGINE,  # vLLM's core and its workers
    r"vllm\.entrypoints": VLLM_SERVER,
    **{f"ServeReplica:.*:{deployment}": kind for deployment, kind in REPLICA_KINDS.items()},
    r"Proxy|haproxy": "proxy",
    r"ServeController": "Serve controller",
    r"gcs_server|raylet|ray/_private|ray::|dashboard": "Ray",
}
KINDS = (*PROCESS_KINDS.values(), OTHER)


def memory_by_kind(pid: int) -> dict[str, float]:
    """Sum the memory in MiB of `pid` and its descendants, by kind."""
    mib: dict[str, float] = {}
    for kind, process in processes_of(pid):
        with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            mib[kind] = mib.get(kind, 0.0) + _pss_mib(process.pid)
    return mib


def cpu_s_by_process(pid: int) -> dict[tuple[str, int], float]:
    """Read the CPU seconds used by `pid` and its descendants, by kind and process id."""
    used_s = {}
    for kind, process in processes_of(pid):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used_s[kind, process.pid] = times.user + times.system
    return used_s


def processes_of(pid: int) -> Iterator[tuple[str, psutil.Process]]:
    """Yield `pid` and its descendants with their kinds."""
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile
            yield kind_of(" ".join(process.cmdline()) or process.name()), process


def kind_of(command_line: str) -> str:
    """Find the kind of a process."""
    matches = (kind for pattern, kind in PROCESS_KINDS.items() if re.search(pattern, command_line))
    return next(matches, OTHER)


def _pss_mib(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
