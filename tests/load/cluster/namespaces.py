"""Linux namespaces that stand in for machines: networks, files and processes of their own.

The command runs itself again as the first process of a namespace. When that process ends, for
whatever reason, the kernel kills every process in it, so nothing is left behind.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

INSIDE = "FYE_CLUSTER_INSIDE"
UNSHARE = ("unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child")
OUTER = (*UNSHARE, "--user", "--map-root-user", "--net", "--mount-proc")
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
BRIDGE = "fye0"
SUBNET = "10.77.0"
GATEWAY = f"{SUBNET}.1"
MISSING = (
    "cannot make namespaces: unprivileged user namespaces and the packages util-linux and iproute2"
    " are needed; allow user.max_user_namespaces, or run this as root"
)


class ClusterError(Exception):
    """The cluster did not start, or something that it needs is missing."""


def is_inside() -> bool:
    """Return whether this process is the first one of the namespace."""
    return os.environ.get(INSIDE) == "1"


def run_inside(module: str, arguments: Sequence[str]) -> int:
    """Run a module again as the first process of a new namespace, and return its exit status.

    Raises:
        ClusterError: this machine does not allow namespaces.
    """
    if subprocess.run([*OUTER, "true"], check=False, capture_output=True).returncode:
        raise ClusterError(MISSING)
    command = [*OUTER, sys.executable, "-m", module, *arguments]
    inside = subprocess.Popen(command, env={**os.environ, INSIDE: "1"}, preexec_fn=die_with_parent)
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        return inside.wait()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        inside.kill()
        inside.wait()


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def make_machine() -> None:
    """Prepare this namespace: a private /run, and a bridge that connects the pods."""
    run("mount", "-t", "tmpfs", "run", "/run")
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "add", f"{GATEWAY}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


def make_network(name: str, address: str) -> None:
    """Make the network of a pod, with an address on the bridge."""
    run("ip", "netns", "add", name)
    run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
    run("ip", "link", "set", name, "master", BRIDGE, "up")
    run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
    for device in ("lo", "eth0"):
        run("ip", "-n", name, "link", "set", device, "up")
    run("ip", "-n", name, "route", "add", "default", "via", GATEWAY)


def remove_network(name: str) -> None:
    """Remove the network of a pod: its address answers no more."""
    run("ip", "netns", "delete", name)


def run(*command: str) -> None:
    """Run a command. Raises ClusterError with its output if it fails."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}")


def write_executable(file: Path, text: str) -> None:
    """Write a script that can be run."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    file.chmod(0o755)
