"""Checksums of files, of folders of weights and of plain data."""

import hashlib
import json
from pathlib import Path

from models.errors import ArtifactError, ChecksumError


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_sha256(path: Path, expected: str) -> None:
    """Raises ChecksumError unless the file's bytes are the promised ones."""
    found = file_sha256(path)
    if found != expected:
        raise ChecksumError(f"{path.name}: sha256 is {found}, expected {expected}; delete it and try again")


def weights_sha256(folder: Path) -> str:
    """One digest for all safetensors files of a folder: of the file if it is one, else of their sorted names and digests."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ArtifactError(f"{folder} holds no safetensors file")
    digests = {path.name: file_sha256(path) for path in files}
    return next(iter(digests.values())) if len(files) == 1 else json_sha256(digests)


def json_sha256(data: object) -> str:
    """Digest of the canonical JSON of plain data."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
