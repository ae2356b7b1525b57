"""Adapter from a `tokenizers.Tokenizer` to the tokenizer that vLLM detokenizes with.

vLLM would read Gemma's 262,144 tokens into Python objects in two of its processes and copy them in
one. That takes 15 s of its start and some hundred MiB. This process has read the tokenizer already,
as one Rust object.
"""

from typing import TYPE_CHECKING

from tokenizers import Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def detokenizer(tokenizer: Tokenizer) -> "PreTrainedTokenizerFast":
    """Wrap a tokenizer for `OutputProcessor.tokenizer`; it can do nothing but detokenize.

    The engine must be started with `skip_tokenizer_init`. vLLM makes a `DecodeStream` of a
    `PreTrainedTokenizerFast` and uses only the tokenizer inside it. For log-probabilities it
    decodes single tokens.
    """
    from transformers import PreTrainedTokenizerFast

    class Detokenizer(PreTrainedTokenizerFast):  # type: ignore[misc]
        # vLLM would write the whole vocabulary as JSON to look for a Metaspace pre-tokenizer.
        backend_tokenizer = None

        def __init__(self, inner: Tokenizer) -> None:
            # The base class is not initialized, because it looks at every token.
            self._tokenizer = inner

        def decode(self, token_ids: list[int], **_: object) -> str:
            """Return the text of tokens, with control tokens by name."""
            return str(self._tokenizer.decode(token_ids, skip_special_tokens=False))

    return Detokenizer(tokenizer)
