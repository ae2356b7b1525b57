"""Checks before a run is published: the size of what enters the repository, and pinned weights."""

from collections.abc import Iterable
from pathlib import Path

from models.weights.cache import cached_revision
from models.weights.catalog import HubSource, find_weights
from training.errors import PublishError

TREE_BYTES = 10 * 2**20  # git keeps every version of a file for ever


def check_size(files: Iterable[Path]) -> None:
    """Raise PublishError if the files are too large for the repository."""
    size = sum(file.stat().st_size for file in files if file.exists())
    if size > TREE_BYTES:
        raise PublishError(
            f"the artefacts of this run have {size / 1e6:.0f} MB, and git keeps every version: "
            "publish them with --to FOLDER or --hub OWNER/NAME, or into the repository with --large"
        )


def check_pinned(base: str) -> None:
    """Raise PublishError if base weights come from the hub without a fixed commit."""
    source = find_weights(base).source
    if isinstance(source, HubSource) and source.revision is None:
        commit = cached_revision(base) or "COMMIT"
        raise PublishError(
            f"the base weights {base} are not pinned, so they can change under this artefact: add "
            f'revision = "{commit}" to their source in models/weights/catalog.toml, or publish '
            "with --unpinned"
        )
