"""Sum of adapters as one adapter: its product is the dense sum, to the accuracy of float32."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig

from models.lora_layout import LORA_A, LORA_B
from models.manifest import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from models.store.blend import write_blend
from support.tiny_models import GEMMA_IDS, gemma_shape

SHAPE = gemma_shape(layers=2) | {"vocab_size": 64} | GEMMA_IDS
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
TOKENS = torch.tensor([[2, 5, 11, 40, 63, 7]])
PREFIX = "base_model.model."


def gemma(version: int) -> Any:
    """Build a small Gemma in float32 whose weights are large enough to matter."""
    torch.manual_seed(0)
    if version == 2:
        model: Any = Gemma2ForCausalLM(Gemma2Config(**SHAPE))
    else:
        model = Gemma3ForCausalLM(Gemma3TextConfig(**SHAPE))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5)
    return model.eval()


def write_adapter(
    folder: Path,
    model: Any,
    seed: int,
    rank: int,
    alpha: int,
    modules: tuple[str, ...] = MODULES,
    dtype: torch.dtype = torch.float32,
    **config: object,
) -> Path:
    """Write a random adapter of a model."""
    folder.mkdir()
    noise = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, layer in model.named_modules():
        if name.endswith(modules):
            shapes = {LORA_A: (rank, layer.in_features), LORA_B: (layer.out_features, rank)}
            for half, shape in shapes.items():
                tensors[PREFIX + name + half] = 0.3 * torch.randn(shape, generator=noise).to(dtype)
    save_file(tensors, folder / ADAPTER_WEIGHTS)
    fields = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": alpha,
        "target_modules": list(modules),
        "bias": "none",
        **config,
    }
    (folder / ADAPTER_CONFIG).write_text(json.dumps(fields))
    return folder


def merge_(model: Any, folder: Path, factor: float) -> None:
    """Add an adapter to a model's weights in place."""
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    layers = dict(model.named_modules())
    for name, a in tensors.items():
        if name.endswith(LORA_A):
            module = name.removesuffix(LORA_A)
            delta = tensors[module + LORA_B].double() @ a.double()
            weight = layers[module.removeprefix(PREFIX)].weight
            weight.data = (weight.data.double() + factor * delta).float()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(TOKENS).logits
    return found


@pytest.mark.parametrize("version", [2, 3])
def test_logits_are_those_of_a_dense_merge(version: int, tmp_path: Path) -> None:
    """Ranks, scales and layers differ between the adapters."""
    joy = write_adapter(tmp_path / "joy", gemma(version), seed=1, rank=4, alpha=8)
    fear = write_adapter(
        tmp_path / "fear", gemma(version), 2, 2, 2, ("q_proj", "up_proj"), use_rslora=True
    )
    rank = write_blend([(joy, 1.05), (fear, 0.45)], tmp_path / "blend")
    dense = gemma(version)
    merge_(dense, joy, 1.05 * 8 / 4)
    merge_(dense, fear, 0.45 * 2 / 2**0.5)
    blended = PeftModel.from_pretrained(gemma(version), tmp_path / "blend").eval()
    expected = logits(dense)
    assert rank == 6
    torch.testing.assert_close(logits(blended), expected, rtol=1e-4, atol=1e-4)
    # The tolerance distinguishes it from its neighbours: another weight, or one adapter left out.
    for others in [(1.1, 0.45), (1.05, 0.5), (1.05, 0.05)]:
        write_blend(
            list(zip((joy, fear), others, strict=True)), tmp_path / f"{others[0]}-{others[1]}"
        )
        folder = tmp_path / f"{others[0]}-{others[1]}"
        other = PeftModel.from_pretrained(gemma(version), folder).eval()
        assert (logits(other) - expected).abs().max() > 0.01


def test_product_is_the_weighted_sum_and_not_a_sum_of_halves(tmp_path: Path) -> None:
    model = gemma(3)
    joy = write_adapter(tmp_path / "joy", model, 1, 2, 4, ("q_proj",))
    fear = write_adapter(tmp_path / "fear", model, 2, 2, 4, ("q_proj",))
    write_blend([(joy, 0.7), (fear, 0.3)], tmp_path / "blend")
    one, other, found = (
        load_file(folder / ADAPTER_WEIGHTS) for folder in (joy, fear, tmp_path / "blend")
    )
    module = next(iter(found)).removesuffix(LORA_A).removesuffix(LORA_B)
    a, b = module + LORA_A, module + LORA_B
    exact = 2 * (0.7 * one[b] @ one[a] + 0.3 * other[b] @ other[a])
    linear = 2 * (0.7 * one[b] + 0.3 * other[b]) @ (0.7 * one[a] + 0.3 * other[a])
    torch.testing.assert_close(found[b] @ found[a], exact)
    assert not torch.allclose(linear, exact, atol=1e-2)


def test_bf16_adapters_are_scaled_in_float32_and_rounded_once(tmp_path: Path) -> None:
    model = gemma(3)
    joy = write_adapter(tmp_path / "joy", model, 1, 3, 5, ("v_proj",), torch.bfloat16)
    write_blend([(joy, 0.85)], tmp_path / "blend")
    source = load_file(joy / ADAPTER_WEIGHTS)
    for name, found in load_file(tmp_path / "blend" / ADAPTER_WEIGHTS).items():
        factor = 0.85 * 5 / 3 if name.endswith(LORA_B) else 1
        expected = (source[name].double() * factor).to(torch.bfloat16)
        assert found.dtype is torch.bfloat16
        assert torch.equal(found, expected)
