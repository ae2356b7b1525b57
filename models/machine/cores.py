"""CPU cores that this process may use: its affinity, limited by the CPU quota of its containers.

A container with a quota of two CPUs still sees every core of its machine. As many threads as cores
would use up the quota at once and then wait for the next period.
"""

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def affinity() -> list[int]:
    """Return the sorted ids of the cores on which this process may be scheduled."""
    return sorted(os.sched_getaffinity(0))


def usable_cores() -> int:
    """Return how many cores this process may keep busy, at least 1."""
    cores = len(affinity())
    quota = cpu_quota()
    return cores if quota is None else max(min(cores, math.floor(quota)), 1)


def cpu_quota(root: Path = CGROUPS, membership: Path = MEMBERSHIP) -> float | None:
    """Return the smallest CPU quota, in cores, of this process's control groups.

    Reads both versions of cgroups. Returns None if no group has a quota.
    """
    found = [
        quota
        for folder, group in _groups(root, membership)
        for level in (group, *group.parents)
        if (quota := _quota(folder / level.relative_to("/"))) is not None
    ]
    return min(found, default=None)


def _groups(root: Path, membership: Path) -> list[tuple[Path, Path]]:
    """Return the hierarchy and the path of each control group that may hold a quota."""
    try:
        lines = membership.read_text("utf-8").splitlines()
    except OSError:
        return []
    groups = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            groups.append((root, Path(path)))
        elif "cpu" in controllers.split(","):
            groups.append((root / "cpu", Path(path)))
    return groups


def _quota(folder: Path) -> float | None:
    """Return the quota of one control group, in cores."""
    try:
        limit, period = (folder / "cpu.max").read_text("utf-8").split()
    except OSError:
        limit, period = _version_1(folder)
    return int(limit) / int(period) if limit not in {"max", "-1"} else None


def _version_1(folder: Path) -> tuple[str, str]:
    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    try:
        limit, period = ((folder / name).read_text("utf-8").strip() for name in names)
    except OSError:
        return "max", "1"
    return limit, period
