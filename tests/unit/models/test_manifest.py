"""Adapters: one that is what its manifest claims loads, and every untruth is refused by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from models.emotions import LABELS, Emotion
from models.errors import ManifestError
from models.lora_layout import Layers, base_layers
from models.manifest import ARTIFACTS, AdapterManifest, adapter_hash, load_adapter
from support.fakes import PERSONA_TOML

BASE, OTHER, PROMPT = "a" * 64, "b" * 64, "friend-1"
CONFIG = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "up_proj"], "bias": "none", "use_rslora": False}
Q = "base_model.model.model.layers.0.self_attn.q_proj"
Change = Callable[[Path], object]


def tensors(value: float = 1, **extra: tuple[int, ...]) -> dict[str, np.ndarray]:
    shapes = {f"{Q}.lora_A.weight": (4, 6), f"{Q}.lora_B.weight": (6, 4)}
    return {name: np.full(shape, value, np.float32) for name, shape in {**shapes, **extra}.items()}


def edit(file: Path, **change: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))


def resign(folder: Path) -> None:
    """Makes the content hash true again, so that a test meets the untruth it is about."""
    edit(folder / "manifest.json", content_hash=adapter_hash(folder))


def claim(**change: object) -> Change:
    return lambda folder: edit(folder / "manifest.json", **change)


def configure(**change: object) -> Change:
    def apply(folder: Path) -> None:
        edit(folder / "adapter_config.json", **change)
        resign(folder)

    return apply


def save(**extra: tuple[int, ...]) -> Change:
    def apply(folder: Path) -> None:
        save_file(tensors(**extra), folder / "adapter_model.safetensors")
        resign(folder)

    return apply


def truncate(folder: Path) -> None:
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    resign(folder)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A PEFT folder as `training` writes it, only smaller."""
    folder = tmp_path / "joy"
    folder.mkdir()
    save_file(tensors(), folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG))
    manifest(content_hash=adapter_hash(folder)).write(folder)
    return folder


def manifest(content_hash: str) -> AdapterManifest:
    return AdapterManifest(
        name="joy",
        persona=Emotion.JOY,
        content_hash=content_hash,
        base="tiny",
        base_hash=BASE,
        rank=4,
        alpha=8,
        target_modules=("up_proj", "q_proj"),
        prompt_version=PROMPT,
        training_data_hash=OTHER,
        metrics={"held_out_nll": 1.5},
    )


def test_a_true_adapter_loads_under_its_versioned_name(adapter: Path) -> None:
    loaded = load_adapter(adapter, BASE, PROMPT)
    assert loaded.folder == adapter
    assert loaded.manifest == manifest(adapter_hash(adapter))
    assert loaded.manifest.versioned_name == f"joy@{adapter_hash(adapter)[:12]}"


@pytest.fixture
def calm(adapter: Path) -> Path:
    """The same as a persona beside the six, with the character that it brings."""
    (adapter / "persona.toml").write_text(PERSONA_TOML.format("Calm"))
    edit(adapter / "manifest.json", name="calm", persona="calm")
    resign(adapter)
    return adapter


def test_a_persona_beside_the_six_brings_its_character_which_is_part_of_its_content(calm: Path) -> None:
    loaded = load_adapter(calm, BASE, PROMPT)
    assert loaded.added_persona is not None
    assert (loaded.added_persona.name, loaded.manifest.persona) == ("Calm", "calm")
    with_character = adapter_hash(calm)
    (calm / "persona.toml").unlink()
    assert adapter_hash(calm) != with_character


@pytest.mark.parametrize("persona", LABELS)
def test_what_has_shipped_keeps_its_content_hash_and_brings_no_character(persona: Emotion) -> None:
    manifest = AdapterManifest.read(ARTIFACTS / "adapters" / persona)
    assert load_adapter(ARTIFACTS / "adapters" / persona, manifest.base_hash, manifest.prompt_version).added_persona is None


def rewrite(character: str) -> Change:
    def apply(folder: Path) -> None:
        (folder / "persona.toml").write_text(character)
        resign(folder)

    return apply


def without_character(folder: Path) -> None:
    (folder / "persona.toml").unlink()
    resign(folder)


BAD_CHARACTERS: dict[str, tuple[Change, str]] = {
    "none": (without_character, "calm: .*persona.toml"),
    "changed since": (lambda folder: (folder / "persona.toml").write_text(PERSONA_TOML.format("Calm") + "\n"), "calm: content hash"),
    "no TOML": (rewrite("name ="), "calm: Invalid value"),
    "incomplete": (rewrite('name = "Calm"'), "calm: .*(?s:.)*instruction"),
    "an emotion": (rewrite(PERSONA_TOML.format("Calm") + 'emotion = "joy"'), "calm: .*(?s:.)*emotion"),
    "another's name": (rewrite(PERSONA_TOML.format("Joy")), "calm: persona.toml names its character Joy, which must be Calm"),
    "a second one of the six": (claim(persona="joy"), "calm: joy has a character"),
    "a word that is taken": (claim(persona="base"), "base can be no persona's name"),
    "no word": (claim(persona="Calm 2"), "persona"),
}


@pytest.mark.parametrize(("change", "reason"), BAD_CHARACTERS.values(), ids=BAD_CHARACTERS)
def test_a_character_that_is_not_right_is_refused_by_name(calm: Path, change: Change, reason: str) -> None:
    change(calm)
    with pytest.raises(ManifestError, match=reason):
        load_adapter(calm, BASE, PROMPT)


UNTRUTHS: dict[str, tuple[Change, str]] = {
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "joy: .*manifest.json"),
    "manifest is no JSON": (lambda folder: (folder / "manifest.json").write_text("{"), "Invalid JSON"),
    "unknown field": (claim(mood="sunny"), "mood"),
    "other kind": (claim(kind="detector"), "kind"),
    "other schema": (claim(schema_version=2), "schema_version"),
    "name with a version": (claim(name="joy@1"), "name"),
    "changed weights": (lambda folder: save_file(tensors(2), folder / "adapter_model.safetensors"), "content hash"),
    "changed settings": (lambda folder: edit(folder / "adapter_config.json", use_rslora=True), "content hash"),
    "other base": (claim(base_hash=OTHER), f"base-model hash is '{BASE}', expected '{OTHER}'"),
    "other prompt format": (claim(prompt_version="friend-0"), "prompt format is 'friend-1', expected 'friend-0'"),
    "rank": (claim(rank=8), "rank is 4, expected 8"),
    "alpha": (claim(alpha=16), "alpha is 8, expected 16"),
    "target modules": (claim(target_modules=["q_proj"]), "target modules is"),
    "trained bias": (configure(bias="all"), "bias is 'all'"),
    "whole modules": (configure(modules_to_save=["lm_head"]), r"modules_to_save is \['lm_head'\]"),
    "DoRA": (configure(use_dora=True), "use_dora is True"),
    "wrong prefix": (save(**{"model.layers.0.self_attn.q_proj.lora_A.weight": (4, 6)}), "tensor model.layers.0.self_attn.q_proj"),
    "other module": (save(**{f"{Q[:-6]}v_proj.lora_A.weight": (4, 6)}), "v_proj.lora_A.weight is not of a target module"),
    "other matrix": (save(**{f"{Q}.lora_magnitude_vector": (4, 6)}), "lora_magnitude_vector is not of a target module"),
    "A of another rank": (save(**{f"{Q}.lora_A.weight": (3, 6)}), "lora_A.weight is not of rank 4"),
    "B of another rank": (save(**{f"{Q}.lora_B.weight": (6, 5)}), "lora_B.weight is not of rank 4"),
    "vector": (save(**{f"{Q}.lora_B.weight": (4,)}), "lora_B.weight is not of rank 4"),
    "A without B": (save(**{f"{Q[:-6]}up_proj.lora_A.weight": (4, 6)}), "up_proj.lora_A.weight has no other half"),
    "B without A": (save(**{f"{Q[:-6]}up_proj.lora_B.weight": (6, 4)}), "up_proj.lora_B.weight has no other half"),
    "truncated weights": (truncate, "joy: .*incomplete metadata"),
    "no weights": (lambda folder: (folder / "adapter_model.safetensors").unlink(), "adapter_model.safetensors"),
    "no settings": (lambda folder: (folder / "adapter_config.json").unlink(), "adapter_config.json"),
    "settings are no JSON": (lambda folder: (folder / "adapter_config.json").write_text("{"), "joy: Expecting property name"),
}


@pytest.mark.parametrize(("change", "message"), UNTRUTHS.values(), ids=UNTRUTHS)
def test_an_untruth_is_refused_by_name(adapter: Path, change: Change, message: str) -> None:
    change(adapter)
    with pytest.raises(ManifestError, match=message):
        load_adapter(adapter, BASE, PROMPT)


@pytest.mark.parametrize("prefix", ["model.", "language_model.model.", "model.language_model."])
def test_an_adapter_must_fit_the_layers_of_its_base(adapter: Path, tmp_path: Path, prefix: str) -> None:
    def base(shape: tuple[int, int], layer: str = f"{prefix}layers.0.self_attn.q_proj.weight") -> Layers:
        weights = {layer: shape, "model.embed_tokens.weight": (9, 6), "vision_tower.vision_model.encoder.layers.0.q_proj.weight": (3, 3)}
        save_file({name: np.ones(shape, np.float32) for name, shape in weights.items()}, tmp_path / "model.safetensors")
        return base_layers(tmp_path)

    assert load_adapter(adapter, BASE, PROMPT, base((6, 6))).folder == adapter
    with pytest.raises(ManifestError, match=r"joy: tensor .*lora_A.weight is of size 6, and the layer of 7"):
        load_adapter(adapter, BASE, PROMPT, base((6, 7)))
    with pytest.raises(ManifestError, match=r"joy: tensor .*lora_B.weight is of size 6, and the layer of 5"):
        load_adapter(adapter, BASE, PROMPT, base((5, 6)))
    with pytest.raises(ManifestError, match=r"joy: tensor .*lora_A.weight is of no layer of the base"):
        load_adapter(adapter, BASE, PROMPT, base((6, 6), f"{prefix}layers.1.self_attn.q_proj.weight"))


@pytest.mark.parametrize("change", [{"r": 2}, {"lora_alpha": 16}, {"target_modules": ["q_proj"]}, {"use_rslora": True}], ids=str)
def test_a_setting_that_changes_the_answer_changes_the_hash(adapter: Path, change: dict[str, Any]) -> None:
    before = adapter_hash(adapter)
    edit(adapter / "adapter_config.json", **change)
    assert adapter_hash(adapter) != before


def test_a_setting_that_changes_nothing_keeps_the_hash(adapter: Path) -> None:
    before = adapter_hash(adapter)
    edit(adapter / "adapter_config.json", target_modules=["up_proj", "q_proj"], inference_mode=True)
    assert adapter_hash(adapter) == before
