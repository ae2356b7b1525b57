"""Stores at a URL: a machine gets checked copies of what another one has added."""

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from models.errors import ArtifactError
from models.manifest import ADAPTER_WEIGHTS, Adapter, AdapterManifest, load_adapter
from models.prompt import PROMPT_VERSION
from models.store.adapter_store import AdapterStore
from models.store.remote import RemoteStore, is_url
from support.adapters import write_adapter

NewNode = Callable[[], AdapterStore]


def check(folder: Path) -> Adapter:
    return load_adapter(folder, AdapterManifest.read(folder).base_hash, PROMPT_VERSION)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_adapter(tmp_path / "run", "calm")
    return tmp_path / "run"


def not_installed(url: str, **options: object) -> None:
    raise ImportError("a package of this file system")


@pytest.fixture(params=["memory", "file", "pyarrow"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a URL below which nothing is."""
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}/store"
    if request.param == "pyarrow":
        monkeypatch.setattr(fsspec.core, "url_to_fs", not_installed)
    return f"file://{tmp_path}/shared/store"


@pytest.fixture
def new_node(url: str, tmp_path: Path) -> NewNode:
    """Return the store of a machine that has nothing yet."""
    return lambda: AdapterStore(tmp_path / uuid.uuid4().hex, RemoteStore(url))


def flip_a_byte(url: str, copy: Adapter) -> None:
    file = f"{url}/{copy.folder.name}/{ADAPTER_WEIGHTS}"
    with fsspec.open(file, "rb") as stream:
        content = bytearray(stream.read())
    content[-1] ^= 1
    with fsspec.open(file, "wb") as stream:
        stream.write(content)


def test_another_node_gets_a_checked_copy(source: Path, new_node: NewNode) -> None:
    first, second = new_node(), new_node()
    copy = first.add(source, check)
    assert not first.holds(copy.folder)
    first.share(copy)
    assert second.holds(copy.folder)
    for folder in (source, first.folder):
        shutil.rmtree(folder)
    found = second.get(copy.folder, check)
    assert found.manifest == copy.manifest
    assert found.folder == second.folder / copy.folder.name
    files = {"manifest.json", "adapter_config.json", ADAPTER_WEIGHTS, "persona.toml"}
    assert {file.name for file in found.folder.iterdir()} == files


def test_downloads_a_copy_once_and_again_if_it_is_damaged(
    source: Path, url: str, new_node: NewNode
) -> None:
    first, second = new_node(), new_node()
    copy = first.add(source, check)
    first.share(copy)
    weights = second.get(copy.folder, check).folder / ADAPTER_WEIGHTS
    written_ns = weights.stat().st_mtime_ns
    second.get(copy.folder, check)
    assert weights.stat().st_mtime_ns == written_ns
    weights.write_bytes(b"short")
    assert second.get(copy.folder, check).manifest == copy.manifest


def test_a_damaged_copy_is_refused_until_it_is_published_again(
    source: Path, url: str, new_node: NewNode
) -> None:
    first, second = new_node(), new_node()
    copy = first.add(source, check)
    first.share(copy)
    flip_a_byte(url, copy)
    with pytest.raises(ArtifactError, match=r"damaged.*content hash"):
        second.get(copy.folder, check)
    first.share(copy)  # the sizes are right, so nothing is written
    with pytest.raises(ArtifactError, match="damaged"):
        second.get(copy.folder, check)
    first.share(copy, again=True)
    assert second.get(copy.folder, check).manifest == copy.manifest


def test_a_copy_of_another_manifest_is_refused(
    source: Path, tmp_path: Path, url: str, new_node: NewNode
) -> None:
    first, second = new_node(), new_node()
    copy = first.add(source, check)
    other = tmp_path / copy.folder.name  # its files match its manifest, and not its name
    shutil.copytree(source, other)
    copy.manifest.model_copy(update={"metrics": {"loss": 1.0}}).write(other)
    RemoteStore(url).upload(other, last="manifest.json")
    with pytest.raises(ArtifactError, match="holds"):
        second.get(copy.folder, check)


def test_a_new_node_gets_the_copies_of_a_key(source: Path, new_node: NewNode) -> None:
    first, second = new_node(), new_node()
    assert second.remembered("key", check) == []
    copy = first.add(source, check)
    first.remember("key", [copy])
    assert [one.manifest for one in second.remembered("key", check)] == [copy.manifest]


def test_names_a_url_that_fails_without_its_credentials(tmp_path: Path, source: Path) -> None:
    with pytest.raises(ArtifactError, match=r"adapter store nosuch://bucket/x: .*responder\.store"):
        RemoteStore("nosuch://key:secret@bucket/x")
    (tmp_path / "file").write_text("")
    store = AdapterStore(tmp_path / "mirror", RemoteStore(f"file://{tmp_path}/file/store"))
    with pytest.raises(ArtifactError, match=r"cannot .* the adapter store file://"):
        store.share(store.add(source, check))


def test_object_storage_needs_no_package_of_its_own() -> None:
    store = RemoteStore("s3://key:secret@bucket/adapters?region=eu-central-1")
    assert store.name == "s3://bucket/adapters?region=eu-central-1"


@pytest.mark.parametrize(
    ("store", "expected"),
    [("s3://bucket/a", True), ("file:///a", True), ("/cache/store", False), ("runs/a", False)],
)
def test_tells_urls_from_folders(store: str, expected: bool) -> None:
    assert is_url(store) is expected
