"""Gemma 2 with random weights and six random adapters, to serve its real size without the hub.

    PYTHONPATH=tests python -m support.random_gemma2 FOLDER --layers 7
    python -m serve run --config FOLDER/serve.yaml

The shape is that of Gemma 2 2B, with one layer in four or with `--layers 26`. Only the values are
random, so the answers are words without sense. It needs no package that only training has.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer
from transformers import Gemma2Config, Gemma2ForCausalLM, PreTrainedTokenizerFast

from models.emotions import LABELS, Emotion
from models.hashing import weights_sha256
from models.lora_layout import LORA_A, LORA_B, TENSOR_PREFIX, base_layers
from models.manifest import ADAPTER_CONFIG, ADAPTER_WEIGHTS, AdapterManifest, adapter_hash
from models.prompt import PROMPT_VERSION
from support.tokenizers import byte_tokenizer

ROOT = Path(__file__).parents[2]
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
RANK = 16  # of the recipe personas-gemma-2-2b
LAYERS = 7  # one in four of Gemma 2 2B's 26
IDS = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
LORA_B_SCALE = 0.1  # large enough to change the next token, small enough not to drown the base


def write_tokenizer(folder: Path, size: int) -> None:
    """Save a byte tokenizer with words that only a model can say, `size` tokens in all."""
    content = json.loads(byte_tokenizer().to_str())
    vocabulary = content["model"]["vocab"]
    vocabulary |= {f"Ġw{number}": number for number in range(len(vocabulary), size)}
    tokenizer = Tokenizer.from_str(json.dumps(content))
    names = {f"{name}_token": AddedToken(f"<{name}>") for name in ("bos", "eos", "unk", "pad")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)


def write_base(folder: Path, **shape: int) -> None:
    """Save random bf16 weights and a tokenizer; `shape` changes fields of Gemma 2 2B's."""
    config = Gemma2Config(**IDS, **shape)
    write_tokenizer(folder, config.vocab_size)
    torch.manual_seed(0)
    Gemma2ForCausalLM._from_config(config, dtype=torch.bfloat16).save_pretrained(folder)


def write_adapters(base: Path, folder: Path, rank: int = RANK) -> None:
    """Save a different random adapter for each persona, on all linear layers of the base."""
    base_hash = weights_sha256(base)
    for persona in LABELS:
        _write_adapter(base, base_hash, persona, folder / persona, rank)


def _write_adapter(base: Path, base_hash: str, persona: Emotion, folder: Path, rank: int) -> None:
    folder.mkdir(parents=True)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": list(MODULES),
        "bias": "none",
    }
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config), "utf-8")
    save_file(_lora_tensors(base, persona.id + 1, rank), folder / ADAPTER_WEIGHTS)
    AdapterManifest(
        name=str(persona),
        persona=persona,
        content_hash=adapter_hash(folder),
        base=base.name,
        base_hash=base_hash,
        rank=rank,
        alpha=2 * rank,
        target_modules=MODULES,
        prompt_version=PROMPT_VERSION,
        training_data_hash="0" * 64,
        metrics={},
    ).write(folder)


def _lora_tensors(base: Path, seed: int, rank: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int, scale: float) -> torch.Tensor:
        return (torch.randn(shape, generator=generator) * scale).to(torch.bfloat16)

    tensors = {}
    for layer, shape in sorted(base_layers(base).items()):
        if layer.rpartition(".")[2] in MODULES:
            outputs, inputs = shape
            name = TENSOR_PREFIX + layer
            tensors[name + LORA_A] = random(rank, inputs, scale=inputs**-0.5)
            tensors[name + LORA_B] = random(outputs, rank, scale=LORA_B_SCALE)
    return tensors


def write_config(folder: Path, device: str) -> Path:
    """Write the Serve config that ships for a device, with the base and adapters of a folder."""
    shipped = ROOT / "deploy" / ("gpu.yaml" if device == "cuda" else "local.yaml")
    document: dict[str, Any] = yaml.safe_load(shipped.read_text("utf-8"))
    responder = document["applications"][0]["args"]["responder"]
    responder |= {
        "base": str(folder / "base"),
        "adapters": str(folder / "adapters"),
        "store": str(folder / "adapter-store"),
    }
    file = folder / "serve.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    return file


def main(arguments: Sequence[str] | None = None) -> None:
    """Write base, adapters and Serve config into a new folder."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m support.random_gemma2")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=LAYERS, help="26: Gemma 2 2B as a whole")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args(arguments)
    folder = options.folder.absolute()
    write_base(folder / "base", num_hidden_layers=options.layers)
    write_adapters(folder / "base", folder / "adapters")
    print(f"python -m serve run --config {write_config(folder, options.device)}")


if __name__ == "__main__":
    main()
