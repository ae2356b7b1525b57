"""Adapters of a folder, each checked against its manifest and the base weights."""

from pathlib import Path

from models.errors import ArtifactError
from models.lora_layout import base_layers
from models.manifest import MANIFEST_FILE, Adapter, load_adapter
from models.prompt import PROMPT_VERSION
from models.weights.cache import Materialized


def find_adapters(folder: Path, base: Materialized) -> list[Adapter]:
    """Load every adapter below a folder and check it against the base weights.

    Raises:
        ManifestError: an adapter differs from its manifest, or is made for other base weights.
        ArtifactError: the folder holds no adapter, or two adapters of one persona.
    """
    layers = base_layers(base.folder)
    adapters = [
        load_adapter(path, base.sha256, PROMPT_VERSION, layers) for path in _folders(folder)
    ]
    if not adapters:
        raise ArtifactError(
            f"{folder} holds no adapter; train adapters, or set responder.adapters to null"
            " to use instructions instead"
        )
    if len({adapter.manifest.persona for adapter in adapters}) != len(adapters):
        raise ArtifactError(f"{folder} holds two adapters of one persona; remove one of them")
    return adapters


def has_adapters(folder: Path) -> bool:
    """Return whether there is an adapter below a folder, valid or not."""
    return bool(_folders(folder))


def _folders(folder: Path) -> list[Path]:
    return sorted(manifest.parent for manifest in folder.rglob(MANIFEST_FILE))
