"""What several unit tests share: hypothesis on a busy machine, and a tiny tokenizer."""

from pathlib import Path

import pytest
from hypothesis import settings
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE

from models.prompt import PromptEncoder

settings.register_profile("unit", deadline=None, max_examples=60, database=None)
settings.load_profile("unit")


CONTROL = ("<bos>", "<eos>", "<unk>")


def byte_tokenizer() -> Tokenizer:
    """One token a byte, so that decoding gives a text back exactly. Like Gemma's own, it adds `<bos>` unless told not to."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE({character: number for number, character in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL])
    bos = [("<bos>", tokenizer.token_to_id("<bos>"))]
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=bos)
    return tokenizer


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    byte_tokenizer().save(str(file))
    return file


@pytest.fixture(scope="session")
def tokenizer(tokenizer_file: Path) -> Tokenizer:
    """The tokenizer as a test reads it, beside the encoder's own copy."""
    return Tokenizer.from_file(str(tokenizer_file))


@pytest.fixture(scope="session")
def encoder(tokenizer_file: Path) -> PromptEncoder:
    return PromptEncoder(tokenizer_file)
