"""Limit on how many replicas of a node one request can crash.

HAProxy repeats a request whose replica closed the connection without an answer. If the request is
what crashes the replica, the next one would crash too. So each attempt appends a byte to a file
named after the request; the file is removed when the attempt ends, and stays when its replica dies.
"""

import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from serve.errors import ReplicaFailed, ServingError

MAX_ATTEMPTS = 2
STALE_S = 3600.0
ACCEPTED = re.compile(r"[0-9a-f-]{32,36}")


def attempts_folder() -> Path:
    """Return the folder of this user's attempts, in memory where the system has such a place."""
    memory = Path("/dev/shm")  # noqa: S108 (the folder is created with mode 700)
    parent = memory if memory.is_dir() else Path(tempfile.gettempdir())
    return parent / f"face-your-emotions-{os.getuid()}"


class Attempts:
    """Attempts of all replicas of this node."""

    def __init__(self, folder: Path) -> None:
        """Create the folder and remove what crashed replicas left in it long ago.

        Raises:
            ServingError: another user owns the folder, or it is a link.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_owner(folder)
        self._folder = folder
        for file in folder.iterdir():
            with suppress(OSError):
                if ACCEPTED.fullmatch(file.name) and time.time() - file.stat().st_mtime > STALE_S:
                    file.unlink()

    @contextmanager
    def enter(self, unique_id: str | None) -> Iterator[None]:
        """Count an attempt of the request until the block ends.

        Args:
            unique_id: HAProxy's own id of the request; None if it did not come through HAProxy.

        Raises:
            ReplicaFailed: earlier attempts have crashed `MAX_ATTEMPTS` replicas.
        """
        if unique_id is None or not ACCEPTED.fullmatch(unique_id):
            yield
            return
        file = self._folder / unique_id
        try:
            if _append(file) > MAX_ATTEMPTS:
                raise ReplicaFailed(f"{MAX_ATTEMPTS} replicas died during this request")
            yield
        finally:
            with suppress(OSError):
                file.unlink(missing_ok=True)


def _append(file: Path) -> int:
    """Append a byte and return the size of the file; 0 on a full disk, which limits nothing."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    except OSError:
        return 0
    try:
        os.write(descriptor, b".")
        return os.fstat(descriptor).st_size
    except OSError:
        return 0
    finally:
        os.close(descriptor)


def _check_owner(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ServingError(f"{folder} is not a folder of this user; remove it")
