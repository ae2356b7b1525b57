"""SHA-256 digests of files, weight folders and plain data."""

import hashlib
import json
from pathlib import Path

from models.errors import ArtifactError, ChecksumError


def file_sha256(path: Path) -> str:
    """Return the hex digest of a file, which is read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_sha256(path: Path, expected: str) -> None:
    """Raise ChecksumError if the digest of a file is not the expected one."""
    found = file_sha256(path)
    if found != expected:
        raise ChecksumError(
            f"{path.name}: sha256 is {found}, expected {expected}; delete the file and try again"
        )


def weights_sha256(folder: Path) -> str:
    """Return one digest for all safetensors files of a folder.

    It is the digest of the file if there is one, else that of their sorted names and digests.
    Raises ArtifactError if there is none.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ArtifactError(f"{folder} contains no safetensors file")
    digests = {path.name: file_sha256(path) for path in files}
    return next(iter(digests.values())) if len(files) == 1 else json_sha256(digests)


def json_sha256(data: object) -> str:
    """Return the hex digest of the canonical JSON of plain data."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
