"""The tokenizer that is rebuilt from a GGUF file, against SentencePiece itself."""

import io
from pathlib import Path

import pytest
import sentencepiece
from gguf import GGUFWriter
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE

from models.prompt import one_line
from models.weights.gguf import gemma_tokenizer, merges_of

CORPUS = ["Friend: my friend came home, friends forever", "Joy: joyful friend! You did it, tell me everything.", "the end of the day's end"]
ALPHABET = "Friend: Joyt hm'é🙂\n"


def test_merges_come_best_rank_first_and_then_by_their_parts_ids() -> None:
    vocabulary = {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5}
    ranks = {"abc": 9.0, "bc": 1.0, "ab": 2.0, "a": 20.0}
    assert merges_of(ranks, vocabulary) == [("b", "c"), ("a", "b"), ("a", "bc"), ("ab", "c")]


def test_a_part_that_is_no_token_makes_no_merge() -> None:
    assert merges_of({"abc": 1.0}, {"a": 0, "b": 1, "abc": 2}) == []


@pytest.mark.parametrize(("best", "pieces"), [("bc", ["a", "bc"]), ("ab", ["ab", "c"])])
def test_the_best_ranked_merge_is_done_first(best: str, pieces: list[str]) -> None:
    vocabulary = {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4}
    ranks = {"ab": 2.0, "bc": 2.0, best: 1.0}
    assert Tokenizer(BPE(vocabulary, merges_of(ranks, vocabulary))).encode("abc").tokens == pieces


@pytest.fixture(scope="module")
def pieces() -> sentencepiece.SentencePieceProcessor:
    """A SentencePiece model with Gemma's settings: byte fallback, nothing added, nothing normalised, a new line of its own."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
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
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


@pytest.fixture(scope="module")
def rebuilt(pieces: sentencepiece.SentencePieceProcessor, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """The same model by way of a GGUF file, whose token types are numbered as SentencePiece's."""
    file: Path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    writer, ids = GGUFWriter(file, "gemma3"), range(len(pieces))
    kinds = [(2, pieces.is_unknown), (3, pieces.is_control), (6, pieces.is_byte)]
    writer.add_token_list([pieces.id_to_piece(number) for number in ids])
    writer.add_token_scores([pieces.get_score(number) for number in ids])
    newline = pieces.piece_to_id("\n")
    writer.add_token_types([4 if number == newline else next((kind for kind, holds in kinds if holds(number)), 1) for number in ids])
    writer.add_unk_token_id(pieces.unk_id())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return gemma_tokenizer(file)


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def test_a_known_word_is_one_token(pieces: sentencepiece.SentencePieceProcessor, rebuilt: Tokenizer) -> None:
    assert rebuilt.encode("Friend: joyful\nFriend").tokens == pieces.encode("Friend: joyful\nFriend", out_type=str)
    assert "Friend" in rebuilt.encode("Friend: joyful\nFriend").tokens[0]


@given(lines=st.lists(st.one_of(st.text(ALPHABET), st.text(), st.sampled_from(CORPUS)).map(one_line), max_size=3))
def test_any_prompt_is_cut_as_sentencepiece_cuts_it(
    pieces: sentencepiece.SentencePieceProcessor, rebuilt: Tokenizer, lines: list[str]
) -> None:
    text = "\n".join(lines)
    assert ids(rebuilt, text) == pieces.encode(text)
    assert rebuilt.decode(ids(rebuilt, text)) == text.replace("▁", " ")


def test_a_letter_that_the_vocabulary_lacks_becomes_its_bytes(rebuilt: Tokenizer) -> None:
    assert rebuilt.encode("🙂").tokens == ["<0xF0>", "<0x9F>", "<0x99>", "<0x82>"]


def test_control_tokens_are_special_and_a_new_line_is_not(rebuilt: Tokenizer) -> None:
    special = {token.content for token in rebuilt.get_added_tokens_decoder().values() if token.special}
    assert special == {"<bos>", "<eos>"}
    assert rebuilt.decode(ids(rebuilt, "a\nb")) == "a\nb"
