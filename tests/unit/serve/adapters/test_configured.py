"""Configured adapters: copied into the store, and what a start does when the folder is gone."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from models.emotions import Emotion
from models.errors import ArtifactError
from models.manifest import ADAPTER_WEIGHTS, AdapterManifest
from models.weights.cache import Materialized
from serve.adapters.configured import AdapterSource, adapter_store, configured_adapters
from serve.config import ResponderConfig
from support.adapters import write_adapter


@pytest.fixture
def config(tmp_path: Path) -> ResponderConfig:
    for persona in (Emotion.JOY, Emotion.FEAR):
        write_adapter(tmp_path / "adapters" / persona, persona)
    return ResponderConfig(adapters=tmp_path / "adapters", releases=tmp_path / "state.json")


@pytest.fixture
def base(tmp_path: Path, config: ResponderConfig) -> Materialized:
    weights = tmp_path / "base" / "model.safetensors"
    weights.parent.mkdir()
    save_file({"model.layers.0.self_attn.q_proj.weight": np.ones((8, 8), np.float32)}, weights)
    sha256 = AdapterManifest.read(tmp_path / "adapters" / "joy").base_hash
    return Materialized("tiny", weights.parent, sha256)


def test_store_is_in_the_folder_of_the_state_or_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FYE_CACHE", str(tmp_path / "cache"))
    plain = ResponderConfig()
    assert adapter_store(plain).folder == tmp_path / "cache" / "adapter-store"
    with_state = plain.model_copy(update={"releases": tmp_path / "state.json"})
    assert adapter_store(with_state).folder == tmp_path / "adapter-store"
    chosen = with_state.model_copy(update={"store": str(tmp_path / "own")})
    assert adapter_store(chosen).folder == tmp_path / "own"


def test_reads_only_from_the_store(config: ResponderConfig, base: Materialized) -> None:
    found = configured_adapters(config, base)
    assert found.source == AdapterSource.CONFIGURED
    assert [one.manifest.persona for one in found.adapters] == ["fear", "joy"]
    store = adapter_store(config).folder
    assert all(one.folder.parent == store for one in found.adapters)


@pytest.mark.parametrize("damage", ["vanished", "truncated"])
def test_uses_the_copies_of_an_earlier_start(
    config: ResponderConfig, base: Materialized, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = configured_adapters(config, base)
    assert config.adapters
    if damage == "vanished":
        shutil.rmtree(config.adapters)
    else:
        (config.adapters / "joy" / ADAPTER_WEIGHTS).write_bytes(b"short")
    after = configured_adapters(config, base)
    assert after.source == AdapterSource.COPIES
    assert {one.folder for one in after.adapters} == {one.folder for one in before.adapters}
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "copies of an earlier start" in caplog.text


def test_a_new_node_uses_the_copies_of_the_remote_store(
    config: ResponderConfig, base: Materialized, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = config.model_copy(update={"store": f"file://{tmp_path}/shared"})
    monkeypatch.setenv("FYE_CACHE", str(tmp_path / "one"))
    before = configured_adapters(shared, base)
    assert config.adapters
    shutil.rmtree(config.adapters)
    monkeypatch.setenv("FYE_CACHE", str(tmp_path / "other"))
    after = configured_adapters(shared, base)
    assert after.source == AdapterSource.COPIES
    assert [one.manifest for one in after.adapters] == [one.manifest for one in before.adapters]
    assert all(one.folder.is_relative_to(tmp_path / "other") for one in after.adapters)


def test_starts_without_the_remote_store(
    config: ResponderConfig,
    base: Materialized,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("FYE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "file").write_text("")
    lost = config.model_copy(update={"store": f"file://{tmp_path}/file/store"})
    found = configured_adapters(lost, base)
    assert found.source == AdapterSource.CONFIGURED
    assert all(one.folder.is_relative_to(tmp_path / "cache") for one in found.adapters)
    assert "cannot" in caplog.text
    assert "adapter store file://" in caplog.text


def test_starts_without_adapters_where_there_is_no_copy(
    config: ResponderConfig, base: Materialized, caplog: pytest.LogCaptureFixture
) -> None:
    assert config.adapters
    shutil.rmtree(config.adapters)
    found = configured_adapters(config, base)
    assert (found.adapters, found.source) == ((), AdapterSource.MISSING)
    assert "by its instruction" in caplog.text


def test_a_first_start_refuses_damaged_adapters(
    config: ResponderConfig, base: Materialized
) -> None:
    assert config.adapters
    (config.adapters / "joy" / ADAPTER_WEIGHTS).write_bytes(b"short")
    with pytest.raises(ArtifactError, match="joy"):
        configured_adapters(config, base)


def test_damaged_copies_are_not_used(config: ResponderConfig, base: Materialized) -> None:
    [copy, _] = configured_adapters(config, base).adapters
    (copy.folder / ADAPTER_WEIGHTS).write_bytes(b"short")
    assert config.adapters
    shutil.rmtree(config.adapters)
    assert configured_adapters(config, base).source == AdapterSource.MISSING


def test_no_configured_folder_is_no_error(base: Materialized) -> None:
    found = configured_adapters(ResponderConfig(adapters=None), base)
    assert (found.adapters, found.source) == ((), AdapterSource.CONFIGURED)
