"""Short folders for unix sockets, whose paths have at most 107 bytes on Linux."""

import os
import tempfile
from pathlib import Path

from serve.errors import ConfigError

LONGEST_PATH = 107  # bytes
SHORT_FOLDERS = ("/tmp", "/dev/shm")  # noqa: S108 (the sockets are in folders of one user)


def short_folder(needed: int, variable: str = "TMPDIR") -> Path:
    """Return the temporary folder, or another one if sockets in it would have too long paths.

    Args:
        needed: bytes of the longest socket's path below the folder, with the first slash.
        variable: environment variable that names the folder. Only another one than TMPDIR is
            binding.

    Raises:
        ConfigError: the named folder, or every usable one, is too long.
    """
    named = os.environ.get(variable) if variable != "TMPDIR" else None
    candidates = (named,) if named else (tempfile.gettempdir(), *SHORT_FOLDERS)
    for folder in candidates:
        if len(os.fsencode(folder)) + needed <= LONGEST_PATH and os.access(folder, os.W_OK):
            return Path(folder)
    raise ConfigError(
        f"{candidates[0]} cannot hold unix sockets: a path of at most {LONGEST_PATH - needed} bytes"
        f" that can be written to is needed; set {variable} to such a folder"
    )
