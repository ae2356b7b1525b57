"""Content-addressed store of adapters: what it hands out is a checked copy of its own."""

import shutil
from pathlib import Path

import pytest

from models.errors import ArtifactError
from models.manifest import ADAPTER_WEIGHTS, MANIFEST_FILE, Adapter, AdapterManifest, load_adapter
from models.prompt import PROMPT_VERSION
from models.store.adapter_store import PARTIAL, AdapterStore, store_name
from support.adapters import write_adapter


def check(folder: Path) -> Adapter:
    return load_adapter(folder, AdapterManifest.read(folder).base_hash, PROMPT_VERSION)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_adapter(tmp_path / "run", "calm")
    (tmp_path / "run" / "optimizer.pt").write_bytes(b"not needed")
    return tmp_path / "run"


@pytest.fixture
def store(tmp_path: Path) -> AdapterStore:
    return AdapterStore(tmp_path / "below" / "store")


def test_copy_survives_a_source_that_changes_or_vanishes(source: Path, store: AdapterStore) -> None:
    copy = store.add(source, check)
    assert copy.folder == store.folder / store_name(copy.manifest)
    assert {file.name for file in copy.folder.iterdir()} == {
        "manifest.json",
        "adapter_config.json",
        "adapter_model.safetensors",
        "persona.toml",
    }
    (source / ADAPTER_WEIGHTS).write_bytes(b"other")
    assert check(copy.folder) == copy
    shutil.rmtree(source)
    assert check(copy.folder) == copy


def test_keeps_an_intact_copy_and_replaces_a_damaged_one(source: Path, store: AdapterStore) -> None:
    weights = store.add(source, check).folder / ADAPTER_WEIGHTS
    written_ns = weights.stat().st_mtime_ns
    store.add(source, check)
    assert weights.stat().st_mtime_ns == written_ns
    weights.write_bytes(weights.read_bytes()[:-4])
    assert store.add(source, check).manifest == AdapterManifest.read(source)
    assert check(weights.parent)


def test_manifests_of_the_same_weights_have_copies_of_their_own(
    source: Path, store: AdapterStore
) -> None:
    first = store.add(source, check)
    first.manifest.model_copy(update={"metrics": {"loss": 1.0}}).write(source)
    second = store.add(source, check)
    assert first.manifest.content_hash == second.manifest.content_hash
    assert first.folder != second.folder


def test_rejects_a_source_that_changes_while_it_is_copied(
    source: Path, store: AdapterStore
) -> None:
    def change_after_the_first_look(folder: Path) -> Adapter:
        found = check(folder)
        if folder == source:
            found.manifest.model_copy(update={"metrics": {"loss": 1.0}}).write(source)
        return found

    with pytest.raises(ArtifactError, match="changed while it was copied"):
        store.add(source, change_after_the_first_look)
    assert [one.name for one in store.folder.iterdir() if not one.name.startswith(".")] == []


def test_removes_what_a_killed_process_left(source: Path, store: AdapterStore) -> None:
    (store.folder / PARTIAL).mkdir(parents=True)
    (store.folder / PARTIAL / "half").write_bytes(b"")
    assert not (store.add(source, check).folder / "half").exists()


def test_names_a_store_that_cannot_be_written(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match=r"adapter store .*file.*responder\.store"):
        AdapterStore(tmp_path / "file" / "store").add(source, check)


def test_rejects_what_the_check_rejects(source: Path, store: AdapterStore) -> None:
    (source / MANIFEST_FILE).unlink()
    with pytest.raises(ArtifactError, match="run: "):
        store.add(source, check)
    assert not store.folder.exists()
