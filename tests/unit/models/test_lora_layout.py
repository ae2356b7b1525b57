"""Check of the tensors of an adapter against rank, target modules and base layers."""

from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import save_file

from models.lora_layout import Layers, Shape, base_layers, check_tensors

RANK = 4
MODULES = ("q_proj", "up_proj")
ATTENTION = "base_model.model.model.layers.0.self_attn"
Q = f"{ATTENTION}.q_proj"
PREFIXES = ["model.", "language_model.model.", "model.language_model."]
INVALID: dict[str, tuple[dict[str, Shape], str]] = {
    "wrong prefix": ({"model.layers.0.self_attn.q_proj.lora_A.weight": (4, 6)}, "target module"),
    "other module": ({f"{ATTENTION}.v_proj.lora_A.weight": (4, 6)}, "v_proj.*target module"),
    "other matrix": ({f"{Q}.lora_magnitude_vector": (4, 6)}, "magnitude_vector.*target module"),
    "rank of A": ({f"{Q}.lora_A.weight": (3, 6)}, "lora_A.*expected rank 4"),
    "rank of B": ({f"{Q}.lora_B.weight": (6, 5)}, "lora_B.*expected rank 4"),
    "vector": ({f"{Q}.lora_B.weight": (4,)}, "lora_B.*expected rank 4"),
    "A without B": ({f"{ATTENTION}.up_proj.lora_A.weight": (4, 6)}, "up_proj.*no matching"),
    "B without A": ({f"{ATTENTION}.up_proj.lora_B.weight": (6, 4)}, "up_proj.*no matching"),
}


def save(file: Path, **shapes: Shape) -> Path:
    save_file({name: np.ones(shape, np.float32) for name, shape in shapes.items()}, file)
    return file


def save_adapter(folder: Path, **extra: Shape) -> Path:
    pair: dict[str, Shape] = {f"{Q}.lora_A.weight": (4, 6), f"{Q}.lora_B.weight": (6, 4)}
    return save(folder / "adapter_model.safetensors", **{**pair, **extra})


def save_base(folder: Path, layer: str, shape: Shape) -> Layers:
    """Write base weights with one layer and return their layers."""
    folder.mkdir(exist_ok=True)
    others = {
        "model.embed_tokens.weight": (9, 6),
        "vision_tower.vision_model.encoder.layers.0.q_proj.weight": (3, 3),
    }
    save(folder / "model.safetensors", **{layer: shape, **others})
    return base_layers(folder)


def test_accepts_pairs_of_target_modules(tmp_path: Path) -> None:
    check_tensors(save_adapter(tmp_path), RANK, MODULES, {})


@pytest.mark.parametrize(("extra", "reason"), INVALID.values(), ids=INVALID)
def test_rejects_invalid_tensor(tmp_path: Path, extra: dict[str, Shape], reason: str) -> None:
    file = save_adapter(tmp_path, **extra)
    with pytest.raises(ValueError, match=reason):
        check_tensors(file, RANK, MODULES, {})


def test_rejects_truncated_file(tmp_path: Path) -> None:
    file = save_adapter(tmp_path)
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(SafetensorError):
        check_tensors(file, RANK, MODULES, {})


@pytest.mark.parametrize("prefix", PREFIXES)
def test_base_layers_have_no_model_prefix(tmp_path: Path, prefix: str) -> None:
    layers = save_base(tmp_path, f"{prefix}layers.0.self_attn.q_proj.weight", (6, 7))
    assert layers == {"0.self_attn.q_proj": (6, 7)}


@pytest.mark.parametrize(
    ("layer", "shape", "reason"),
    [
        (0, (6, 7), "lora_A.*size 6, expected 7"),
        (0, (5, 6), "lora_B.*size 6, expected 5"),
        (1, (6, 6), "lora_A.*no layer"),
    ],
)
def test_rejects_adapter_of_other_base(
    tmp_path: Path, layer: int, shape: Shape, reason: str
) -> None:
    layers = save_base(tmp_path / "base", f"model.layers.{layer}.self_attn.q_proj.weight", shape)
    with pytest.raises(ValueError, match=reason):
        check_tensors(save_adapter(tmp_path), RANK, MODULES, layers)


def test_accepts_adapter_of_its_base(tmp_path: Path) -> None:
    layers = save_base(tmp_path / "base", "model.layers.0.self_attn.q_proj.weight", (6, 6))
    check_tensors(save_adapter(tmp_path), RANK, MODULES, layers)
