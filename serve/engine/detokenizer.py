"""What vLLM's output needs of a tokenizer: the text of token ids.

vLLM would read Gemma's 262,144 words into Python's own objects in two of its processes, and copy them in one: 15 s of its start, and some
hundred MiB. Ours has been read by then, and is one object in Rust.
"""

from typing import TYPE_CHECKING

from tokenizers import Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def detokenizer(tokenizer: Tokenizer) -> "PreTrainedTokenizerFast":
    """For `OutputProcessor.tokenizer` of an engine that was started with `skip_tokenizer_init`, and for nothing else.

    vLLM makes a `DecodeStream` of what is a `PreTrainedTokenizerFast`, and uses of it the tokenizer inside alone.
    """
    from transformers import PreTrainedTokenizerFast

    class Detokenizer(PreTrainedTokenizerFast):  # type: ignore[misc]
        def __init__(self, inside: Tokenizer) -> None:  # not its base's, which looks at every word
            self._tokenizer = inside

    return Detokenizer(tokenizer)
