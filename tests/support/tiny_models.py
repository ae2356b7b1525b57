"""Base weights small enough to train in seconds: random, in the layout of `transformers`."""

from pathlib import Path

import torch
from transformers import (
    BertConfig,
    BertModel,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    MPNetConfig,
    MPNetModel,
    PreTrainedTokenizerFast,
)

from support.tokenizers import byte_tokenizer

SHIELD_TOKENS = ("<start_of_turn>", "<end_of_turn>", "Yes", "No")
GEMMA_IDS = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}


def save_tokenizer(folder: Path, extra_tokens: tuple[str, ...] = ()) -> int:
    """Save a byte tokenizer and return the size of its vocabulary."""
    tokenizer = byte_tokenizer(extra_tokens)
    names = {f"{name}_token": f"<{name}>" for name in ("bos", "eos", "unk", "pad")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return tokenizer.get_vocab_size()


def tiny_bert(folder: Path) -> Path:
    """Save a BERT encoder with one layer of width 16."""
    size = save_tokenizer(folder)
    torch.manual_seed(0)
    shape = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    BertModel(BertConfig(vocab_size=size, pad_token_id=0, **shape)).save_pretrained(folder)
    return folder


def tiny_mpnet(folder: Path) -> Path:
    """Save an MPNet encoder with two layers of width 64."""
    size = save_tokenizer(folder)
    torch.manual_seed(0)
    shape = {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 128,
    }
    MPNetModel(MPNetConfig(vocab_size=size, pad_token_id=0, **shape)).save_pretrained(folder)
    return folder


def tiny_gemma(folder: Path) -> Path:
    """Save a Gemma 3 text model with one layer of width 32, in bf16."""
    size = save_tokenizer(folder)
    torch.manual_seed(0)
    config = Gemma3TextConfig(vocab_size=size, **gemma_shape(layers=1), **GEMMA_IDS)
    Gemma3ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


def tiny_shield(folder: Path) -> Path:
    """Save a Gemma 2 that says Yes or No by chance.

    Its weights are scaled up, so that a different input gives a different answer.
    """
    size = save_tokenizer(folder, SHIELD_TOKENS)
    torch.manual_seed(1)
    shape = gemma_shape(layers=2)
    model = Gemma2ForCausalLM(
        Gemma2Config(vocab_size=size, sliding_window=64, **shape, **GEMMA_IDS)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4) if parameter.ndim > 1 else parameter.add_(4)
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


def gemma_shape(layers: int) -> dict[str, int]:
    """Return the sizes of a tiny Gemma."""
    return {
        "hidden_size": 32,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "intermediate_size": 64,
    }
