"""Content-addressed store of adapters.

    published folder -> check -> .partial/ -> check the copy -> <sha256 of the manifest>/

The manifest holds the hash of the files, so the name of a folder stands for all of its content. A
source that vanishes or changes later harms nothing. A file lock makes it safe in several processes.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from models.errors import ArtifactError
from models.hashing import json_sha256
from models.manifest import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    MANIFEST_FILE,
    Adapter,
    AdapterManifest,
)
from models.personas import PERSONA_FILE
from models.weights.cache import cache_folder

STORE_FOLDER = "adapter-store"
FILES = (MANIFEST_FILE, ADAPTER_CONFIG, ADAPTER_WEIGHTS, PERSONA_FILE)
PARTIAL = ".partial"
Check = Callable[[Path], Adapter]


def default_store() -> Path:
    """Return the store's folder where nothing else is configured."""
    return cache_folder() / STORE_FOLDER


def store_name(manifest: AdapterManifest) -> str:
    """Return the name of the folder in which the store keeps an adapter."""
    return json_sha256(manifest.model_dump(mode="json"))


class AdapterStore:
    """Folder of checked copies of adapters."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which is created when it is first needed."""
        self.folder = folder.absolute()

    def add(self, source: Path, check: Check) -> Adapter:
        """Return the checked copy of an adapter, copied first if the store does not have it.

        A copy that is damaged is replaced.

        Args:
            source: PEFT folder with its manifest.
            check: loads and checks an adapter of a folder.

        Raises:
            ArtifactError: the adapter is not what it should be, it changed while it was copied, or
                the store cannot be written.
        """
        wanted = check(source).manifest
        target = self.folder / store_name(wanted)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".lock"):
                return _intact(target, wanted, check) or self._copy(source, target, wanted, check)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ArtifactError(
                f"cannot write to the adapter store {self.folder}: {reason}; set responder.store to"
                " another folder"
            ) from error

    def _copy(self, source: Path, target: Path, wanted: AdapterManifest, check: Check) -> Adapter:
        partial = self.folder / PARTIAL
        shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
        partial.mkdir()
        for name in FILES:
            if (source / name).exists():
                _copy_to_disk(source / name, partial / name)
        if check(partial).manifest != wanted:
            raise ArtifactError(f"{source} changed while it was copied; publish it again")
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        return check(target)


def _intact(folder: Path, wanted: AdapterManifest, check: Check) -> Adapter | None:
    try:
        adapter = check(folder)
    except ArtifactError:
        return None
    return adapter if adapter.manifest == wanted else None


def _copy_to_disk(source: Path, target: Path) -> None:
    """Copy a file and wait until the disk has it, so that a crash leaves no empty file."""
    shutil.copyfile(source, target)
    with target.open("rb") as stream:
        os.fsync(stream.fileno())
