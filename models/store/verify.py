"""Verification of files on disk: shipped artifacts, stored adapters and cached weights."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from models.detector.int8.cache import int8_files, int8_problem
from models.errors import ArtifactError
from models.manifest import (
    ARTIFACTS,
    MANIFEST_FILE,
    AdapterManifest,
    CriticManifest,
    DetectorManifest,
    SafetyManifest,
    load_adapter,
)
from models.prompt import PROMPT_VERSION
from models.store.adapter_store import default_store, store_name
from models.weights.cache import cached_problems

KINDS: TypeAdapter[AdapterManifest | CriticManifest | DetectorManifest | SafetyManifest] = (
    TypeAdapter(AdapterManifest | CriticManifest | DetectorManifest | SafetyManifest)
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check. `problem` is None if the artifact is what it should be."""

    name: str
    problem: str | None = None


def verify(folders: Sequence[Path] = ()) -> Iterator[Finding]:
    """Check everything, and yield a finding for each artifact.

    Args:
        folders: further folders of artifacts or stores, in addition to the shipped and cached ones.
    """
    for root in (ARTIFACTS, default_store(), *folders):
        yield from verify_folder(root)
    for name, problem in cached_problems():
        yield Finding(f"base weights {name}", problem)
    for file in int8_files():
        problem = int8_problem(file)
        yield Finding(
            file.name, f"{problem}; it is made again when it is used" if problem else None
        )


def verify_folder(root: Path) -> Iterator[Finding]:
    """Check every artifact below a folder against its manifest.

    A folder that is named by a hash is one of a store, and must have the hash of its manifest.
    """
    for file in sorted(root.rglob(MANIFEST_FILE)):
        folder = file.parent
        if not any(part.startswith(".") for part in folder.relative_to(root).parts):
            yield Finding(*_checked(folder, str(folder.relative_to(root.parent))))


def _checked(folder: Path, name: str) -> tuple[str, str | None]:
    try:
        manifest = KINDS.validate_python(json.loads((folder / MANIFEST_FILE).read_text("utf-8")))
        if not isinstance(manifest, AdapterManifest):
            manifest.check_weights(folder)
            return name, None
        load_adapter(folder, manifest.base_hash, PROMPT_VERSION)
        is_copy = len(folder.name) == len(manifest.content_hash)
        if is_copy and folder.name != store_name(manifest):
            return name, "the manifest differs from the one that was stored; publish it again"
        return f"{name} {manifest.versioned_name}", None
    except ValidationError as error:
        return name, f"the manifest is invalid: {error.error_count()} errors"
    except (OSError, ValueError) as error:
        return name, f"the manifest cannot be read: {type(error).__name__}"
    except ArtifactError as error:
        return name, str(error)
