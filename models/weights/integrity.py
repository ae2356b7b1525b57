"""Integrity of files on disk: a record of sizes and digests, and the structure of safetensors.

Sizes are compared at every start, since that costs nothing; digests only by `models verify`.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from models.hashing import file_sha256

HEADER_LENGTH = 8  # bytes at the start of a safetensors file, little-endian
LONGEST_HEADER = 100 * 2**20
FileRecord = Mapping[str, int | str]  # `bytes` and `sha256`


def record_of(folder: Path) -> dict[str, FileRecord]:
    """Return size and digest of every file directly in a folder, by its name."""
    return {
        file.name: {"bytes": file.stat().st_size, "sha256": file_sha256(file)}
        for file in sorted(folder.iterdir())
        if file.is_file()
    }


def size_problems(folder: Path, record: Mapping[str, FileRecord]) -> Iterator[str]:
    """Yield a sentence for each file that is missing or has not its recorded size."""
    for name, expected in record.items():
        if not (folder / name).is_file():
            yield f"{name} is missing"
        elif (found := (folder / name).stat().st_size) != expected["bytes"]:
            yield f"{name} has {found} bytes, expected {expected['bytes']}"


def digest_problems(folder: Path, record: Mapping[str, FileRecord]) -> Iterator[str]:
    """Yield a sentence for each file that is missing or has not its recorded digest."""
    for name, expected in record.items():
        if not (folder / name).is_file():
            yield f"{name} is missing"
        elif file_sha256(folder / name) != expected["sha256"]:
            yield f"{name} differs from its recorded sha256"


def structure_problems(folder: Path) -> Iterator[str]:
    """Yield a sentence for each safetensors file of a folder that is truncated or no such file."""
    for file in sorted(folder.glob("*.safetensors")):
        if problem := structure_problem(file):
            yield f"{file.name} {problem}"


def structure_problem(file: Path) -> str | None:
    """Return the fault in the header or the size of a safetensors file, None if there is none.

    Values are not read, so a changed value is not found.
    """
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(HEADER_LENGTH), "little")
            if length > min(size, LONGEST_HEADER):
                return "is truncated or no safetensors file"
            header = json.loads(stream.read(length))
        ends = [row["data_offsets"][1] for name, row in header.items() if name != "__metadata__"]
    except (AttributeError, LookupError, TypeError, ValueError):
        return "has no valid safetensors header"
    expected = HEADER_LENGTH + length + max(ends, default=0)
    return None if size == expected else f"has {size} bytes, expected {expected}"
