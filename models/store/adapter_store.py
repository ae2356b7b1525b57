"""Content-addressed store of adapters.

    published folder -> check -> .partial/ -> check the copy -> <sha256 of the manifest>/
                                    ^                                    |
                                    +------------ remote store <---------+

The manifest holds the hash of the files, so the name of a folder stands for all of its content. A
source that vanishes or changes later harms nothing. A file lock makes it safe in several processes.
With a remote store, the folder mirrors the copies of it that this machine needs.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
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
from models.store.remote import RemoteStore
from models.weights.cache import cache_folder

STORE_FOLDER = "adapter-store"
FILES = (MANIFEST_FILE, ADAPTER_CONFIG, ADAPTER_WEIGHTS, PERSONA_FILE)
PARTIAL = ".partial"
COPY_NAME = re.compile(r"[0-9a-f]{64}")
Check = Callable[[Path], Adapter]


def default_store() -> Path:
    """Return the store's folder where nothing else is configured."""
    return cache_folder() / STORE_FOLDER


def store_name(manifest: AdapterManifest) -> str:
    """Return the name of the folder in which the store keeps an adapter."""
    return json_sha256(manifest.model_dump(mode="json"))


class AdapterStore:
    """Folder of checked copies of adapters."""

    def __init__(self, folder: Path, remote: RemoteStore | None = None) -> None:
        """Use a folder, which is created when it is first needed, and a store that it mirrors."""
        self.folder = folder.absolute()
        self._remote = remote

    def add(self, source: Path, check: Check) -> Adapter:
        """Return the checked copy of an adapter, copied first if the folder does not have it.

        A copy that is damaged is replaced.

        Args:
            source: PEFT folder with its manifest.
            check: loads and checks an adapter of a folder.

        Raises:
            ArtifactError: the adapter is not what it should be, it changed while it was copied, or
                the folder cannot be written.
        """
        wanted = check(source).manifest
        with self._locked():
            found = self._intact(store_name(wanted), check)
            return found or self._copy(source, wanted, check)

    def share(self, copy: Adapter, again: bool = False) -> None:
        """Upload a copy to the remote store, if there is one.

        Args:
            copy: one that `add` has returned.
            again: also if it is there already.

        Raises:
            ArtifactError: the remote store cannot be reached or written.
        """
        if self._remote and (again or not self._remote.has(copy.folder)):
            self._remote.upload(copy.folder, last=MANIFEST_FILE)

    def holds(self, folder: Path) -> bool:
        """Return whether a folder is a copy that every machine can get.

        Raises:
            ArtifactError: the remote store cannot be reached.
        """
        if self._remote is None:
            return folder.parent == self.folder
        return is_copy(folder) and self._remote.holds(folder.name, MANIFEST_FILE)

    def get(self, folder: Path, check: Check) -> Adapter:
        """Return the checked adapter of a folder, or with a remote store the copy of its name.

        A copy that this machine lacks, or has damaged, is downloaded.

        Raises:
            ArtifactError: the adapter is not what it should be, or the remote store fails.
        """
        if self._remote is None or not is_copy(folder):
            return check(folder)
        with self._locked():
            found = self._intact(folder.name, check)
            return found or self._download(self._remote, folder.name, check)

    def remember(self, key: str, copies: Sequence[Adapter]) -> None:
        """Keep which copies belong to a key, and share them.

        Raises:
            ArtifactError: the remote store cannot be reached or written.
        """
        text = json.dumps(sorted(one.folder.name for one in copies))
        new = self.folder / f"{key}.{os.getpid()}.new"  # replicas may start at the same time
        new.write_text(text, "utf-8")
        new.replace(self.folder / f"{key}.json")
        for copy in copies:
            self.share(copy)
        if self._remote:
            self._remote.write_text(f"{key}.json", text)

    def remembered(self, key: str, check: Check) -> list[Adapter]:
        """Return the intact copies that belong to a key, none if one of them is not."""
        try:
            names = json.loads(self._index(key))
            return [self.get(self.folder / name, check) for name in names]
        except (OSError, ValueError, ArtifactError):
            return []

    def _index(self, key: str) -> str:
        """Return the list of a key. This machine's may be missing, or older."""
        if self._remote:
            with suppress(ArtifactError):
                return self._remote.read_text(f"{key}.json")
        return (self.folder / f"{key}.json").read_text("utf-8")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".lock"):
                yield
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ArtifactError(
                f"cannot write to the adapter store {self.folder}: {reason}; set responder.store to"
                " another folder"
            ) from error

    def _intact(self, name: str, check: Check) -> Adapter | None:
        try:
            adapter = check(self.folder / name)
        except ArtifactError:
            return None
        return adapter if store_name(adapter.manifest) == name else None

    def _copy(self, source: Path, wanted: AdapterManifest, check: Check) -> Adapter:
        partial = self._empty_partial()
        for name in FILES:
            if (source / name).exists():
                _copy_to_disk(source / name, partial / name)
        if check(partial).manifest != wanted:
            raise ArtifactError(f"{source} changed while it was copied; publish it again")
        return self._complete(partial, store_name(wanted), check)

    def _download(self, remote: RemoteStore, name: str, check: Check) -> Adapter:
        partial = self._empty_partial()
        remote.download(name, partial, FILES)
        try:
            found = store_name(check(partial).manifest)
        except ArtifactError as error:
            raise ArtifactError(
                f"the copy {name} in {remote.name} is damaged ({error}); publish its adapter again"
            ) from error
        if found != name:
            raise ArtifactError(
                f"the copy {name} in {remote.name} holds {found}; publish its adapter again"
            )
        return self._complete(partial, name, check)

    def _empty_partial(self) -> Path:
        partial = self.folder / PARTIAL
        shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
        partial.mkdir()
        return partial

    def _complete(self, partial: Path, name: str, check: Check) -> Adapter:
        target = self.folder / name
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        return check(target)


def is_copy(folder: Path) -> bool:
    """Return whether a folder has the name of a copy."""
    return COPY_NAME.fullmatch(folder.name) is not None


def _copy_to_disk(source: Path, target: Path) -> None:
    """Copy a file and wait until the disk has it, so that a crash leaves no empty file."""
    shutil.copyfile(source, target)
    with target.open("rb") as stream:
        os.fsync(stream.fileno())
