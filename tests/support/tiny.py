"""Base weights small enough to train in seconds, in the transformers layout, with random weights."""

from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import BertConfig, BertModel, Gemma3ForCausalLM, Gemma3TextConfig, PreTrainedTokenizerFast

CONTROL = ("<pad>", "<eos>", "<bos>", "<unk>")


def byte_tokenizer(folder: Path) -> int:
    """One token a byte. Returns the size of the vocabulary."""
    words = [*CONTROL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(BPE({word: number for number, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in CONTROL])
    names = {f"{name}_token": f"<{name}>" for name in ("bos", "eos", "unk", "pad")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return len(words)


def tiny_bert(folder: Path) -> Path:
    size = byte_tokenizer(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=size, pad_token_id=0, **shape)).save_pretrained(folder)
    return folder


def tiny_gemma(folder: Path) -> Path:
    size = byte_tokenizer(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
    config = Gemma3TextConfig(vocab_size=size, intermediate_size=64, pad_token_id=0, eos_token_id=1, bos_token_id=2, **shape)
    Gemma3ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder
