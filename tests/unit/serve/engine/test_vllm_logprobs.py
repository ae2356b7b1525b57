"""Conversion of vLLM's log-probabilities."""

from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Tokenizer

from serve.engine.detokenizer import detokenizer
from serve.engine.protocol import TokenLogprob
from serve.engine.vllm_logprobs import token_logprobs
from support.tokenizers import byte_tokenizer


def entry(text: str | None, logprob: float, rank: int | None) -> Any:
    return SimpleNamespace(decoded_token=text, logprob=logprob, rank=rank)


# The sampled token is the third likeliest; vLLM adds it to the two that were asked for.
POSITION = {7: entry(" c", -3.0, 3), 5: entry(" a", -0.5, 1), 6: entry(" b", -1.5, 2)}


@pytest.mark.parametrize(
    ("top", "likeliest"),
    [(0, ()), (1, ((" a", -0.5),)), (2, ((" a", -0.5), (" b", -1.5)))],
)
def test_returns_the_sampled_token_and_the_likeliest(
    top: int, likeliest: tuple[tuple[str, float], ...]
) -> None:
    assert token_logprobs([7], [POSITION], top) == (TokenLogprob(" c", -3.0, likeliest),)


def test_returns_nothing_if_nothing_was_asked_for() -> None:
    assert token_logprobs([7], [POSITION], None) == ()
    assert token_logprobs([7], None, 0) == ()


def test_minus_infinity_and_half_characters_can_be_written_as_json() -> None:
    [found] = token_logprobs([1], [{1: entry(None, float("-inf"), None)}], 1)
    assert found == TokenLogprob("", -9999.0, (("", -9999.0),))


@pytest.mark.parametrize("text", ["joy", "é"])
def test_vllm_decodes_single_tokens_with_our_detokenizer(text: str) -> None:
    """vLLM's own code, which joins the two bytes of a character at the second one."""
    from vllm.tokenizers.detokenizer_utils import convert_ids_list_to_tokens
    from vllm.v1.engine.logprobs import LogprobsProcessor

    tokenizer: Tokenizer = byte_tokenizer()
    wrapped: Any = detokenizer(tokenizer)
    processor = LogprobsProcessor(wrapped, [], None, 0.0, 0, None)
    ids = tokenizer.encode(text).ids
    decoded = convert_ids_list_to_tokens(wrapped, ids)
    checked = [
        processor._verify_tokens([one], [token], ids[:place])[0]
        for place, (one, token) in enumerate(zip(decoded, ids, strict=True))
    ]
    assert "".join(checked) == text
