"""Drain of HAProxy by its admin socket: no new requests, and a count of the running ones."""

import csv
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

FRONTEND_NAME = "http_frontend"
DRAINING = "proc.draining"  # requests on kept connections are rejected while it is true
ADMIN_SOCKET = "admin.sock"
CONFIG_FILE = "haproxy.cfg"
TIMEOUT_S = 5.0
BUFFER = 65536


def stop_accepting(folder: Path) -> None:
    """Close the port and reject requests on kept connections. What runs goes on.

    Args:
        folder: of HAProxy's files. Each node has a folder of its own below it.
    """
    for admin in _admin_sockets(folder):
        _command(admin, f"experimental-mode on; set var {DRAINING} bool(true)")
        _command(admin, f"disable frontend {FRONTEND_NAME}")


def running_requests(folder: Path) -> int:
    """Return how many requests are not answered in full.

    Each process that an earlier reload left counts as one: it ends with its last request.
    """
    pids = set[str]()
    running = 0
    for admin in _admin_sockets(folder):
        info = dict(line.partition(": ")[::2] for line in _command(admin, "show info").splitlines())
        pids.add(info.get("Pid", ""))
        rows = csv.DictReader(_command(admin, "show stat").removeprefix("# ").splitlines())
        running += sum(int(row["scur"]) for row in rows if row["svname"] == "BACKEND")
    return running + len(set(_processes(folder)) - pids)


def _admin_sockets(folder: Path) -> list[Path]:
    return sorted(folder.rglob(ADMIN_SOCKET))


def _command(admin: Path, text: str) -> str:
    """Send a command and return the output. It is empty where HAProxy has ended."""
    output = b""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(str(admin))
        connection.sendall(f"{text}\n".encode())
        while received := connection.recv(BUFFER):
            output += received
    return output.decode("utf-8", "replace")


def _processes(folder: Path) -> Iterator[str]:
    """Yield the ids of the processes that run with a configuration file of the folder."""
    files = {str(file).encode() for file in folder.rglob(CONFIG_FILE)}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if files & set((process / "cmdline").read_bytes().split(b"\0")):
                yield process.name
