"""Stand-in for base weights that a plan needs only the shape of, so that nothing is downloaded.

    name of a hub entry -> folder with the configuration and a tokenizer of the usual token length

The gated Gemma 2 2B can be planned without an account this way.
"""

import tempfile
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import BertConfig, Gemma2Config, PreTrainedConfig, PreTrainedTokenizerFast

from models.weights.cache import Materialized

# The defaults of both classes in transformers are the shapes of these two models.
SHAPES: dict[str, type[PreTrainedConfig]] = {
    "gemma-2-2b": Gemma2Config,
    "bert-base-uncased": BertConfig,
}
# Gemma's tokenizer needs 4.0 characters per token on the persona pairs (both sets, measured).
TOKEN_CHARACTERS = 4
SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>")


def stand_in(name: str) -> Materialized | None:
    """Return a folder without weights for an entry of known shape, None for any other."""
    shape = SHAPES.get(name)
    if shape is None:
        return None
    folder = Path(tempfile.mkdtemp(prefix="fye-plan-"))
    shape().save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    return Materialized(name, folder, "")


def _tokenizer() -> PreTrainedTokenizerFast:
    """Build a tokenizer that cuts texts into pieces of TOKEN_CHARACTERS characters."""
    vocabulary = {token: number for number, token in enumerate(SPECIAL)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=SPECIAL[-1]))
    pieces = Regex(rf"[\s\S]{{1,{TOKEN_CHARACTERS}}}")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(pieces, "isolated")
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    names = {f"{token[1:-1]}_token": token for token in SPECIAL}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
