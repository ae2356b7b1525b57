"""Turns a GGUF file into the transformers layout: bf16 safetensors, config and tokenizer. Needs torch and gguf."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig


def gguf_to_safetensors(file: Path, layout: Path) -> None:
    """Dequantises `file` into `layout` and removes it. The tokenizer saved this way adds no `<bos>`: `models.prompt` does."""
    dense = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, quantization_config=dense, dtype=torch.bfloat16
    )
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.to(torch.bfloat16).save_pretrained(layout)
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(layout)
    file.unlink()
