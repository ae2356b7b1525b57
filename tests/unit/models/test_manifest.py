"""Manifests of detectors and adapters, and the checks of an adapter against its manifest."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from models.emotions import LABELS, Emotion
from models.errors import ManifestError
from models.manifest import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    ARTIFACTS,
    MANIFEST_FILE,
    AdapterManifest,
    DetectorManifest,
    adapter_hash,
    load_adapter,
)
from models.personas import PERSONA_FILE

HASH = "a" * 64
OTHER_HASH = "b" * 64
PROMPT = "friend-1"
CONFIG = {
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["q_proj", "up_proj"],
    "bias": "none",
    "use_rslora": False,
}
Q = "base_model.model.model.layers.0.self_attn.q_proj"
PERSONA = """\
name = "Calm"
voice = "even"
colour = "#88aacc"
emoji = "~"
instruction = "Calm is an even-tempered friend."
"""
Change = Callable[[Path], object]  # of an adapter's folder


def detector_manifest() -> DetectorManifest:
    return DetectorManifest(
        content_hash=HASH,
        base="tiny",
        base_hash=HASH,
        training_data_hash=OTHER_HASH,
        max_tokens=128,
        temperature=1.2,
        metrics={"accuracy": 0.9},
    )


def test_detector_manifest_round_trip(tmp_path: Path) -> None:
    detector_manifest().write(tmp_path)
    assert DetectorManifest.read(tmp_path) == detector_manifest()
    assert detector_manifest().labels == LABELS


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("labels", list(reversed(LABELS))),
        ("labels", ["joy"]),
        ("temperature", 0),
        ("max_tokens", 0),
        ("kind", "adapter"),
        ("mood", "sunny"),
    ],
)
def test_rejects_invalid_detector_manifest(tmp_path: Path, field: str, value: object) -> None:
    content = {**detector_manifest().model_dump(mode="json"), field: value}
    (tmp_path / MANIFEST_FILE).write_text(json.dumps(content))
    with pytest.raises(ManifestError, match=field):
        DetectorManifest.read(tmp_path)


def save_weights(folder: Path, value: float = 1) -> None:
    shapes = {f"{Q}.lora_A.weight": (4, 6), f"{Q}.lora_B.weight": (6, 4)}
    tensors = {name: np.full(shape, value, np.float32) for name, shape in shapes.items()}
    save_file(tensors, folder / ADAPTER_WEIGHTS)


def edit(file: Path, **fields: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def update_hash(folder: Path) -> None:
    """Make the content hash match again, so that a test meets only its own mismatch."""
    edit(folder / MANIFEST_FILE, content_hash=adapter_hash(folder))


def edit_manifest(**fields: object) -> Change:
    return lambda folder: edit(folder / MANIFEST_FILE, **fields)


def edit_config(**fields: object) -> Change:
    def change(folder: Path) -> None:
        edit(folder / ADAPTER_CONFIG, **fields)
        update_hash(folder)

    return change


def write(name: str, text: str) -> Change:
    return lambda folder: (folder / name).write_text(text)


def remove(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def adapter_manifest(content_hash: str) -> AdapterManifest:
    return AdapterManifest(
        name="joy",
        persona=Emotion.JOY,
        content_hash=content_hash,
        base="tiny",
        base_hash=HASH,
        rank=4,
        alpha=8,
        target_modules=("up_proj", "q_proj"),
        prompt_version=PROMPT,
        training_data_hash=OTHER_HASH,
        metrics={"held_out_nll": 1.5},
    )


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """PEFT folder with the files that `training` writes."""
    folder = tmp_path / "joy"
    folder.mkdir()
    save_weights(folder)
    (folder / ADAPTER_CONFIG).write_text(json.dumps(CONFIG))
    adapter_manifest(adapter_hash(folder)).write(folder)
    return folder


def test_valid_adapter_loads_with_its_versioned_name(adapter: Path) -> None:
    loaded = load_adapter(adapter, HASH, PROMPT)
    assert loaded.folder == adapter
    assert loaded.manifest == adapter_manifest(adapter_hash(adapter))
    assert loaded.manifest.versioned_name == f"joy@{adapter_hash(adapter)[:12]}"


MISMATCHES: dict[str, tuple[Change, str]] = {
    "no manifest": (remove(MANIFEST_FILE), MANIFEST_FILE),
    "manifest is not JSON": (write(MANIFEST_FILE, "{"), "Invalid JSON"),
    "unknown field": (edit_manifest(mood="sunny"), "mood"),
    "other kind": (edit_manifest(kind="detector"), "kind"),
    "other schema": (edit_manifest(schema_version=2), "schema_version"),
    "version in the name": (edit_manifest(name="joy@1"), "name"),
    "reserved persona": (edit_manifest(persona="base"), "reserved"),
    "malformed persona": (edit_manifest(persona="Calm 2"), "persona"),
    "modified weights": (lambda folder: save_weights(folder, 2), "content hash"),
    "modified settings": (lambda folder: edit(folder / ADAPTER_CONFIG, r=5), "content hash"),
    "other base": (edit_manifest(base_hash=OTHER_HASH), "base-model hash"),
    "other prompt format": (edit_manifest(prompt_version="friend-0"), "'friend-1', expected"),
    "rank": (edit_manifest(rank=8), "rank is 4, expected 8"),
    "alpha": (edit_manifest(alpha=16), "alpha is 8, expected 16"),
    "target modules": (edit_manifest(target_modules=["q_proj"]), "target modules"),
    "trained bias": (edit_config(bias="all"), "bias is 'all'"),
    "whole modules": (edit_config(modules_to_save=["lm_head"]), "modules_to_save"),
    "DoRA": (edit_config(use_dora=True), "use_dora"),
    "rank pattern": (edit_config(rank_pattern={"q_proj": 2}), "rank_pattern"),
    "alpha pattern": (edit_config(alpha_pattern={"q_proj": 2}), "alpha_pattern"),
    "no weights": (remove(ADAPTER_WEIGHTS), ADAPTER_WEIGHTS),
    "no settings": (remove(ADAPTER_CONFIG), ADAPTER_CONFIG),
    "settings are not JSON": (write(ADAPTER_CONFIG, "{"), "Expecting property name"),
}


@pytest.mark.parametrize(("change", "reason"), MISMATCHES.values(), ids=MISMATCHES)
def test_rejects_adapter_that_differs_from_its_manifest(
    adapter: Path, change: Change, reason: str
) -> None:
    change(adapter)
    with pytest.raises(ManifestError, match=rf"joy(?s:.*){reason}"):
        load_adapter(adapter, HASH, PROMPT)


def test_rejects_invalid_tensors(adapter: Path) -> None:
    file = adapter / ADAPTER_WEIGHTS
    file.write_bytes(file.read_bytes()[:-8])
    update_hash(adapter)
    with pytest.raises(ManifestError, match="incomplete metadata"):
        load_adapter(adapter, HASH, PROMPT)


def test_rejects_adapter_that_does_not_fit_its_base(adapter: Path) -> None:
    with pytest.raises(ManifestError, match="size 6, expected 7"):
        load_adapter(adapter, HASH, PROMPT, {"0.self_attn.q_proj": (6, 7)})


@pytest.mark.parametrize(
    "fields",
    [{"r": 2}, {"lora_alpha": 16}, {"target_modules": ["q_proj"]}, {"use_rslora": True}],
    ids=str,
)
def test_setting_that_changes_the_output_changes_the_hash(
    adapter: Path, fields: dict[str, Any]
) -> None:
    before = adapter_hash(adapter)
    edit(adapter / ADAPTER_CONFIG, **fields)
    assert adapter_hash(adapter) != before


def test_other_settings_keep_the_hash(adapter: Path) -> None:
    before = adapter_hash(adapter)
    reordered = ["up_proj", "q_proj"]
    edit(adapter / ADAPTER_CONFIG, target_modules=reordered, inference_mode=True)
    assert adapter_hash(adapter) == before


@pytest.mark.parametrize("persona", LABELS)
def test_shipped_adapters_match_their_manifests(persona: Emotion) -> None:
    folder = ARTIFACTS / "adapters" / persona
    manifest = AdapterManifest.read(folder)
    loaded = load_adapter(folder, manifest.base_hash, manifest.prompt_version)
    assert loaded.added_persona is None


@pytest.fixture
def calm(adapter: Path) -> Path:
    """Adapter of an added persona."""
    write(PERSONA_FILE, PERSONA)(adapter)
    edit_manifest(name="calm", persona="calm")(adapter)
    update_hash(adapter)
    return adapter


def test_added_persona_is_part_of_the_content(calm: Path) -> None:
    loaded = load_adapter(calm, HASH, PROMPT)
    assert loaded.added_persona is not None
    assert loaded.added_persona.name == "Calm"
    assert loaded.manifest.persona == "calm"
    before = adapter_hash(calm)
    (calm / PERSONA_FILE).unlink()
    assert adapter_hash(calm) != before


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name =", "Invalid value"),
        ('name = "Calm"', "instruction"),
        (PERSONA + 'emotion = "joy"', "emotion"),
        (PERSONA.replace("Calm", "Joy"), "'Joy', expected 'Calm'"),
    ],
    ids=["invalid TOML", "missing field", "unknown field", "other name"],
)
def test_rejects_invalid_persona_file(calm: Path, text: str, reason: str) -> None:
    write(PERSONA_FILE, text)(calm)
    update_hash(calm)
    with pytest.raises(ManifestError, match=rf"calm: (?s:.*){reason}"):
        load_adapter(calm, HASH, PROMPT)


def test_rejects_modified_persona_file(calm: Path) -> None:
    write(PERSONA_FILE, PERSONA + "\n")(calm)
    with pytest.raises(ManifestError, match="content hash"):
        load_adapter(calm, HASH, PROMPT)


def test_rejects_missing_persona_file(calm: Path) -> None:
    (calm / PERSONA_FILE).unlink()
    update_hash(calm)
    with pytest.raises(ManifestError, match=PERSONA_FILE):
        load_adapter(calm, HASH, PROMPT)


def test_rejects_persona_file_of_builtin_persona(calm: Path) -> None:
    edit_manifest(persona="joy")(calm)
    with pytest.raises(ManifestError, match="joy is a built-in persona"):
        load_adapter(calm, HASH, PROMPT)
