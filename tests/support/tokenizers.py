"""Byte-level tokenizer for tests: decoding returns exactly the encoded text."""

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE

CONTROL = ("<pad>", "<eos>", "<bos>", "<unk>")  # token ids 0 to 3


def byte_tokenizer(extra_tokens: tuple[str, ...] = (), *, adds_bos: bool = False) -> Tokenizer:
    """Build a tokenizer of 256 bytes and some control tokens.

    Args:
        extra_tokens: Control tokens in addition to `CONTROL`.
        adds_bos: Begin every encoded text with `<bos>` unless told not to, as Gemma's does.
    """
    control = (*CONTROL, *extra_tokens)
    vocabulary = [*control, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(BPE({token: number for number, token in enumerate(vocabulary)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in control]
    )
    if adds_bos:
        bos = ("<bos>", tokenizer.token_to_id("<bos>"))
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<bos> $A", special_tokens=[bos]
        )
    return tokenizer
