"""Cache of compiled C kernels: one compilation per source, compiler and processor type.

    <cache>/kernels/<source>-<16 of a hash>.so

The hash covers the source, the flags and the macros that the compiler predefines for them. With
-march=native the macros name every instruction set that the code may use, so a processor never
loads a library that was compiled for another one, also when machines share the folder. A file lock
lets one process compile at a time, and a library is renamed into place when it is complete.
"""

import ctypes
import hashlib
import logging
import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

log = logging.getLogger(__name__)
FLAGS = ("-O3", "-march=native", "-fopenmp", "-fPIC", "-shared")
MACROS = ("-dM", "-E", "-x", "c", os.devnull)  # print the predefined macros
LOCK_TIMEOUT_S = 60  # for another process that compiles the same source


class CompilerError(Exception):
    """The compiler is missing or failed."""


def load_library(source: Path, *defines: str) -> ctypes.CDLL:
    """Load the compiled library of a C source, and compile it first if it is not in the cache.

    `defines` are macros that are defined for it.

    Without a usable cache folder it is compiled for this process alone. Raises CompilerError.
    """
    flags = (*FLAGS, *(f"-D{name}" for name in defines))
    try:
        return ctypes.CDLL(str(_cached_library(source, flags)))
    except OSError as error:
        log.warning("Cannot use the kernel cache %s: %s", cache_folder(), error)
    with tempfile.TemporaryDirectory() as folder:
        library = _compile(source, flags, Path(folder) / f"{source.stem}.so")
        return ctypes.CDLL(str(library))  # stays mapped after the file is deleted


def cache_folder() -> Path:
    """Return the folder for compiled kernels, below FYE_CACHE or the user's cache folder."""
    root = os.environ.get("FYE_CACHE")
    return (Path(root) if root else user_cache_path("face-your-emotions")) / "kernels"


def _cache_key(source: Path, flags: Sequence[str]) -> str:
    macros = _run_compiler(*flags, *MACROS)
    content = b"\0".join([source.read_bytes(), " ".join(flags).encode(), macros])
    return hashlib.sha256(content).hexdigest()[:16]


def _cached_library(source: Path, flags: Sequence[str]) -> Path:
    """Return the library's path. Raises OSError if the folder is not writable."""
    folder = cache_folder()
    library = folder / f"{source.stem}-{_cache_key(source, flags)}.so"
    if library.is_file():
        return library
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{library.stem}.lock", timeout=LOCK_TIMEOUT_S):
        if not library.is_file():
            with tempfile.TemporaryDirectory(dir=folder) as partial:
                _compile(source, flags, Path(partial) / library.name).rename(library)
    return library


def _compile(source: Path, flags: Sequence[str], library: Path) -> Path:
    _run_compiler(*flags, "-o", str(library), str(source))
    return library


def _run_compiler(*arguments: str) -> bytes:
    """Run $CC, or `cc`, and return its output."""
    command = [*shlex.split(os.environ.get("CC", "cc")), *arguments]
    try:
        return subprocess.run(command, check=True, capture_output=True).stdout
    except subprocess.CalledProcessError as error:
        detail = error.stderr.decode(errors="replace").strip()
        raise CompilerError(f"{command[0]} failed ({error.returncode}): {detail}") from error
    except OSError as error:
        raise CompilerError(f"no C compiler ({error}); install gcc or set CC") from error
