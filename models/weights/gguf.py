"""Conversion of a Gemma GGUF file to the transformers layout: bf16 safetensors and tokenizer.

transformers dequantises the weights correctly, but builds a unigram tokenizer over merge ranks,
which splits "Friend" into "Fr", "ie", "nd". Gemma's tokenizer is a byte-pair encoding, so it is
rebuilt here from the tokens and ranks in the file. Needs torch and gguf.
"""

from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader, TokenType
from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from transformers import AutoModelForCausalLM, GgufConfig, PreTrainedTokenizerFast

SPACE = "▁"
ADDED_TOKENS: dict[int, bool] = {
    TokenType.CONTROL: True,
    TokenType.USER_DEFINED: False,
}  # special or not


def gguf_to_safetensors(file: Path, layout: Path) -> None:
    """Write the transformers layout and delete `file`.

    The tokenizer adds no `<bos>` by itself, because `models.prompt` does.
    """
    model = AutoModelForCausalLM.from_pretrained(
        file.parent,
        gguf_file=file.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.to(torch.bfloat16).save_pretrained(layout)
    tokenizer = gemma_tokenizer(file)
    names = {f"{name}_token": f"<{name}>" for name in ("bos", "eos", "unk", "pad")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(layout)
    file.unlink()


def gemma_tokenizer(file: Path) -> Tokenizer:
    """Rebuild SentencePiece's byte-pair encoding from the fields of a GGUF file.

    The merge with the best rank is applied first; unknown characters fall back to bytes.
    """
    fields = GGUFReader(file).fields
    tokens = _field(fields, "tokens")
    kinds = _field(fields, "token_type")
    vocabulary = {token: token_id for token_id, token in enumerate(tokens)}
    rows = zip(tokens, _field(fields, "scores"), kinds, strict=True)
    ranks = {token: -score for token, score, kind in rows if kind == TokenType.NORMAL}
    model = BPE(
        vocabulary,
        bpe_merges(ranks, vocabulary),
        unk_token=tokens[_field(fields, "unknown_token_id")],
        fuse_unk=True,
        byte_fallback=True,
    )
    return _with_text_steps(model, _added_tokens(tokens, kinds))


def _field(fields: dict[str, Any], name: str) -> Any:
    return fields[f"tokenizer.ggml.{name}"].contents()


def _added_tokens(tokens: list[str], kinds: list[int]) -> list[AddedToken]:
    return [
        AddedToken(token, special=ADDED_TOKENS[kind], normalized=False)
        for token, kind in zip(tokens, kinds, strict=True)
        if kind in ADDED_TOKENS
    ]


def _with_text_steps(model: BPE, added_tokens: list[AddedToken]) -> Tokenizer:
    """Add SentencePiece's treatment of spaces, the byte decoder and the added tokens."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Replace(" ", SPACE)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_tokens(added_tokens)
    return tokenizer


def bpe_merges(ranks: dict[str, float], vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    """Return every pair of tokens that joins to a third one.

    Pairs are sorted by the rank of the result, then by the ids of the two parts.
    """
    found = []
    for whole, rank in ranks.items():
        for cut in range(1, len(whole)):
            left = whole[:cut]
            right = whole[cut:]
            if left in vocabulary and right in vocabulary:
                found.append((rank, vocabulary[left], vocabulary[right], left, right))
    return [(left, right) for *_, left, right in sorted(found)]
