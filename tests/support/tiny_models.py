"""Base weights small enough to train in seconds, in the transformers layout, with random weights."""

from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
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

CONTROL = ("<pad>", "<eos>", "<bos>", "<unk>")


def byte_tokenizer(folder: Path, more: tuple[str, ...] = ()) -> int:
    """One token a byte, and control tokens. Returns the size of the vocabulary."""
    words = [*CONTROL, *more, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(BPE({word: number for number, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in (*CONTROL, *more)])
    names = {f"{name}_token": f"<{name}>" for name in ("bos", "eos", "unk", "pad")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return len(words)


def tiny_bert(folder: Path) -> Path:
    size = byte_tokenizer(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=size, pad_token_id=0, **shape)).save_pretrained(folder)
    return folder


def tiny_mpnet(folder: Path) -> Path:
    size = byte_tokenizer(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    MPNetModel(MPNetConfig(vocab_size=size, pad_token_id=0, **shape)).save_pretrained(folder)
    return folder


def tiny_gemma(folder: Path) -> Path:
    size = byte_tokenizer(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
    config = Gemma3TextConfig(vocab_size=size, intermediate_size=64, pad_token_id=0, eos_token_id=1, bos_token_id=2, **shape)
    Gemma3ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


def tiny_shield(folder: Path) -> Path:
    """A Gemma 2 that says Yes or No by chance. Its weights are large enough for what it reads to matter."""
    size = byte_tokenizer(folder, ("<start_of_turn>", "<end_of_turn>", "Yes", "No"))
    torch.manual_seed(1)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
    config = Gemma2Config(vocab_size=size, intermediate_size=64, pad_token_id=0, eos_token_id=1, bos_token_id=2, sliding_window=64, **shape)
    model = Gemma2ForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4) if parameter.ndim > 1 else parameter.add_(4)
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder
