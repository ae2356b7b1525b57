"""Turns a Gemma GGUF file into the transformers layout: bf16 safetensors, config and tokenizer. Needs torch and gguf.

transformers dequantises the weights, but its tokenizer for such a file is a unigram model over merge ranks, which cuts "Friend" into
"Fr", "ie", "nd". Gemma's tokenizer is a byte-pair encoding: it is rebuilt here from the file's own tokens and ranks.
"""

from pathlib import Path

import torch
from gguf import GGUFReader, TokenType
from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from transformers import AutoModelForCausalLM, GgufConfig, PreTrainedTokenizerFast

SPACE = "▁"


def gguf_to_safetensors(file: Path, layout: Path) -> None:
    """Writes the layout and removes `file`. The tokenizer adds no `<bos>` by itself: `models.prompt` does."""
    dense = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, quantization_config=dense, dtype=torch.bfloat16)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.to(torch.bfloat16).save_pretrained(layout)
    tokenizer = gemma_tokenizer(file)
    names = {f"{name}_token": f"<{name}>" for name in ("bos", "eos", "unk", "pad")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(layout)
    file.unlink()


def gemma_tokenizer(file: Path) -> Tokenizer:
    """SentencePiece's byte-pair encoding as `tokenizers` has it: the merge with the best rank comes first, bytes are the fallback."""
    fields = GGUFReader(file).fields
    tokens, scores, kinds = (fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "scores", "token_type"))
    vocabulary = {token: number for number, token in enumerate(tokens)}
    ranks = {token: -score for token, score, kind in zip(tokens, scores, kinds, strict=True) if kind == TokenType.NORMAL}
    merges = merges_of(ranks, vocabulary)
    tokenizer = Tokenizer(
        BPE(vocabulary, merges, unk_token=tokens[fields["tokenizer.ggml.unknown_token_id"].contents()], fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Replace(" ", SPACE)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
    added = {TokenType.CONTROL: True, TokenType.USER_DEFINED: False}
    tokenizer.add_tokens(
        [AddedToken(token, special=added[kind], normalized=False) for token, kind in zip(tokens, kinds, strict=True) if kind in added]
    )
    return tokenizer


def merges_of(ranks: dict[str, float], vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    """Every way to join two tokens into a third, the best-ranked result first, then by the parts' ids."""
    found = []
    for whole, rank in ranks.items():
        for cut in range(1, len(whole)):
            left, right = whole[:cut], whole[cut:]
            if left in vocabulary and right in vocabulary:
                found.append((rank, vocabulary[left], vocabulary[right], left, right))
    return [(left, right) for *_, left, right in sorted(found)]
