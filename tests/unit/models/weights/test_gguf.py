"""Tokenizer rebuilt from a GGUF file, compared with SentencePiece itself."""

import io
from pathlib import Path

import pytest
from gguf import GGUFWriter
from hypothesis import given
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from tokenizers import Tokenizer
from tokenizers.models import BPE

from models.prompt import one_line
from models.weights.gguf import bpe_merges, gemma_tokenizer

CORPUS = [
    "Friend: my friend came home, friends forever",
    "Joy: joyful friend! You did it, tell me everything.",
    "the end of the day's end",
]
ALPHABET = "Friend: Joyt hm'é🙂\n"
LINES = st.one_of(st.text(ALPHABET), st.text(), st.sampled_from(CORPUS)).map(one_line)
# Token types of GGUF, which are those of SentencePiece.
NORMAL = 1
UNKNOWN = 2
CONTROL = 3
USER_DEFINED = 4
BYTE = 6


def test_merges_are_sorted_by_rank_then_by_ids() -> None:
    vocabulary = {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5}
    ranks = {"abc": 9.0, "bc": 1.0, "ab": 2.0, "a": 20.0}
    expected = [("b", "c"), ("a", "b"), ("a", "bc"), ("ab", "c")]
    assert bpe_merges(ranks, vocabulary) == expected


def test_merges_need_both_parts_in_the_vocabulary() -> None:
    assert bpe_merges({"abc": 1.0}, {"a": 0, "b": 1, "abc": 2}) == []


@pytest.mark.parametrize(("best", "tokens"), [("bc", ["a", "bc"]), ("ab", ["ab", "c"])])
def test_merge_with_best_rank_is_applied_first(best: str, tokens: list[str]) -> None:
    vocabulary = {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4}
    merges = bpe_merges({"ab": 2.0, "bc": 2.0, best: 1.0}, vocabulary)
    assert Tokenizer(BPE(vocabulary, merges)).encode("abc").tokens == tokens


@pytest.fixture(scope="module")
def reference() -> SentencePieceProcessor:
    """SentencePiece model with Gemma's settings: byte fallback and a newline token."""
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 20),
        model_writer=model,
        model_type="bpe",
        vocab_size=340,
        byte_fallback=True,
        user_defined_symbols=["\n"],
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        bos_piece="<bos>",
        eos_piece="<eos>",
        minloglevel=2,
    )
    return SentencePieceProcessor(model_proto=model.getvalue())


def token_type(reference: SentencePieceProcessor, token_id: int) -> int:
    if reference.id_to_piece(token_id) == "\n":
        return USER_DEFINED
    if reference.is_unknown(token_id):
        return UNKNOWN
    if reference.is_control(token_id):
        return CONTROL
    return BYTE if reference.is_byte(token_id) else NORMAL


@pytest.fixture(scope="module")
def rebuilt(
    reference: SentencePieceProcessor, tmp_path_factory: pytest.TempPathFactory
) -> Tokenizer:
    """Tokenizer rebuilt from a GGUF file of the reference model."""
    file: Path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    ids = range(len(reference))
    writer = GGUFWriter(file, "gemma3")
    writer.add_token_list([reference.id_to_piece(token_id) for token_id in ids])
    writer.add_token_scores([reference.get_score(token_id) for token_id in ids])
    writer.add_token_types([token_type(reference, token_id) for token_id in ids])
    writer.add_unk_token_id(reference.unk_id())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return gemma_tokenizer(file)


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def test_known_word_is_one_token(reference: SentencePieceProcessor, rebuilt: Tokenizer) -> None:
    tokens = rebuilt.encode("Friend: joyful\nFriend").tokens
    assert tokens == reference.encode("Friend: joyful\nFriend", out_type=str)
    assert "Friend" in tokens[0]


@given(lines=st.lists(LINES, max_size=3))
def test_encodes_any_prompt_as_sentencepiece_does(
    reference: SentencePieceProcessor, rebuilt: Tokenizer, lines: list[str]
) -> None:
    text = "\n".join(lines)
    assert encode(rebuilt, text) == reference.encode(text)
    assert rebuilt.decode(encode(rebuilt, text)) == text.replace("▁", " ")


def test_unknown_character_becomes_bytes(rebuilt: Tokenizer) -> None:
    assert rebuilt.encode("🙂").tokens == ["<0xF0>", "<0x9F>", "<0x99>", "<0x82>"]


def test_control_tokens_are_special_but_newline_is_not(rebuilt: Tokenizer) -> None:
    added = rebuilt.get_added_tokens_decoder().values()
    assert {token.content for token in added if token.special} == {"<bos>", "<eos>"}
    assert rebuilt.decode(encode(rebuilt, "a\nb")) == "a\nb"
