"""Store of adapters that several machines share: a folder at any URL of fsspec.

    file://, s3://, gs://, memory:// .. / <name of a copy> / files, the manifest last

It moves files and checks nothing: `AdapterStore` checks what it has downloaded.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.errors import ArtifactError

URL = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
CREDENTIALS = re.compile(r"(?<=://)[^/@]*@")


def is_url(store: str) -> bool:
    """Return whether a store is at a URL, not in a local folder."""
    return URL.match(store) is not None


class RemoteStore:
    """Folder of copies at a URL. Every method raises ArtifactError if the URL fails.

    Attributes:
        name: the URL without credentials.
    """

    def __init__(self, url: str) -> None:
        """Open the file system of a URL. The folder is created when it is first needed."""
        self.name = CREDENTIALS.sub("", url)
        with self._errors("open"):
            self._files, self._root = _open(url)

    def has(self, folder: Path) -> bool:
        """Return whether all files of a local copy are there, with their sizes."""
        with self._errors("read"):
            return all(
                self._size(f"{folder.name}/{file.name}") == file.stat().st_size
                for file in folder.iterdir()
            )

    def holds(self, name: str, file: str) -> bool:
        """Return whether a file of a copy is there."""
        with self._errors("read"):
            return self._size(f"{name}/{file}") is not None

    def upload(self, folder: Path, last: str) -> None:
        """Write a local copy under its name, and the file `last` when the others are there."""
        with self._errors("write to"):
            self._files.makedirs(self._path(folder.name), exist_ok=True)
            for file in sorted(folder.iterdir(), key=lambda file: file.name == last):
                self._files.put_file(str(file), self._path(f"{folder.name}/{file.name}"))

    def download(self, name: str, folder: Path, files: Sequence[str]) -> None:
        """Read those of the files of a copy that are there into a local folder."""
        with self._errors("read"):
            for file in files:
                if self._size(f"{name}/{file}") is not None:
                    self._files.get_file(self._path(f"{name}/{file}"), str(folder / file))

    def write_text(self, file: str, text: str) -> None:
        """Write a file next to the copies."""
        with self._errors("write to"):
            self._files.makedirs(self._root, exist_ok=True)
            self._files.pipe_file(self._path(file), text.encode())

    def read_text(self, file: str) -> str:
        """Read a file next to the copies."""
        with self._errors("read"):
            content: bytes = self._files.cat_file(self._path(file))
            return content.decode()

    def _path(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}"

    def _size(self, path: str) -> int | None:
        """Return the size of a file, None if there is none."""
        try:
            size: int = self._files.info(self._path(path))["size"]
        except FileNotFoundError:
            return None
        return size

    @contextmanager
    def _errors(self, action: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # each file system has errors of its own
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ArtifactError(
                f"cannot {action} the adapter store {self.name}: {reason}; check responder.store,"
                " its credentials and the network"
            ) from error


def _open(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of a URL, and the path in it.

    Of object storage whose package is not installed, such as s3fs, it is pyarrow's.
    """
    import fsspec  # only with a URL

    # A listing that is kept would not show what another machine has written.
    options = {"use_listings_cache": False, "skip_instance_cache": True}
    try:
        return fsspec.core.url_to_fs(url, **options)  # type: ignore[no-any-return]
    except ImportError:
        from fsspec.implementations.arrow import ArrowFSWrapper
        from pyarrow.fs import FileSystem

        found, path = FileSystem.from_uri(url)
        return ArrowFSWrapper(found, **options), path
