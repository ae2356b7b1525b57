"""Memory and CPU of a process and its children, by what they are. Shared pages count in parts (PSS), so the sum is what is really taken."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

ENGINE = "VLLM::"  # its core and its workers
PEER = "vllm serve, without the engine"
KINDS = (  # the first that a command line matches
    (ENGINE, "engine"),
    (r"vllm\.entrypoints", PEER),
    ("ServeReplica:.*:Ingress", "ingress"),
    ("ServeReplica:.*:Detector", "detector"),
    ("ServeReplica:.*:Responder", "responder, without the engine"),
    ("ServeReplica:.*:AdapterController", "directory"),
    ("Proxy|haproxy", "proxy"),
    ("ServeController", "controller"),
    ("gcs_server|raylet|ray/_private|ray::|dashboard", "Ray"),
)


def by_kind(pid: int) -> Counter[str]:
    """MiB of each kind of process below `pid`; `other` is `pid` itself and whatever no kind matches."""
    found: Counter[str] = Counter()
    for kind, process in kinds(pid):
        with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            found[kind] += _pss_mib(process.pid)
    return found


def cpu_s(pid: int) -> dict[tuple[str, int], float]:
    """Seconds of CPU that each process below `pid` has taken, by its kind and its id."""
    found = {}
    for kind, process in kinds(pid):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            found[kind, process.pid] = times.user + times.system
    return found


def kinds(pid: int) -> Iterator[tuple[str, psutil.Process]]:
    """Each process, and what it is."""
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            yield _kind(" ".join(process.cmdline()) or process.name()), process


def _kind(line: str) -> str:
    return next((kind for pattern, kind in KINDS if re.search(pattern, line)), "other")


def _pss_mib(pid: int) -> float:
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
