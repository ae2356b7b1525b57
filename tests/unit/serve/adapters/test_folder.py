"""Adapters of a folder, which are checked against their manifests and the base weights."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from models.emotions import Emotion
from models.errors import ArtifactError, ManifestError
from models.prompt import PROMPT_VERSION
from models.weights.cache import Materialized
from serve.adapters.folder import find_adapters
from support.adapters import adapter, write_adapter

JOY = adapter(Emotion.JOY)


def base(root: Path, sha256: str = JOY.manifest.base_hash) -> Materialized:
    """Write base weights with one matrix, which fits the adapters of `write_adapter`."""
    (root / "base").mkdir()
    weights = {"model.layers.0.self_attn.q_proj.weight": np.ones((8, 8), np.float32)}
    save_file(weights, root / "base" / "model.safetensors")
    return Materialized("tiny", root / "base", sha256)


def test_finds_adapters_by_their_manifests(tmp_path: Path) -> None:
    for persona in (Emotion.JOY, Emotion.FEAR):
        write_adapter(tmp_path / persona, persona)
    (tmp_path / "notes").mkdir()
    found = find_adapters(tmp_path, base(tmp_path))
    personas = [(one.manifest.persona, one.folder.name) for one in found]
    assert personas == [(Emotion.FEAR, "fear"), (Emotion.JOY, "joy")]
    assert all(one.manifest.prompt_version == PROMPT_VERSION for one in found)


def test_rejects_folder_without_adapters(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=tmp_path.name):
        find_adapters(tmp_path, base(tmp_path))


def test_rejects_two_adapters_of_one_persona(tmp_path: Path) -> None:
    for folder in ("old", "new"):
        write_adapter(tmp_path / folder, Emotion.JOY)
    with pytest.raises(ArtifactError, match=f"{tmp_path.name} holds two adapters"):
        find_adapters(tmp_path, base(tmp_path))


def test_rejects_adapter_of_other_base_weights(tmp_path: Path) -> None:
    write_adapter(tmp_path / "joy", Emotion.JOY)
    with pytest.raises(ManifestError, match="joy: base-model hash"):
        find_adapters(tmp_path, base(tmp_path, "f" * 64))
