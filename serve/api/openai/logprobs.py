"""Log-probabilities in the shapes of OpenAI's paths."""

from collections.abc import Sequence
from typing import Any

from serve.engine.protocol import TokenLogprob


def chat_logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    """Return the `logprobs` of a choice of a chat completion."""
    return {"content": list(map(_entry, tokens)), "refusal": None}


def response_logprobs(tokens: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    """Return the `logprobs` of a text of the Responses API."""
    return list(map(_entry, tokens))


def completion_logprobs(tokens: Sequence[TokenLogprob], offset: int = 0) -> dict[str, Any]:
    """Return the `logprobs` of a choice of a legacy completion.

    Args:
        tokens: the tokens.
        offset: characters of the tokens before them.
    """
    offsets = list[int]()
    for token in tokens:
        offsets.append(offset)
        offset += len(token.text)
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [dict(reversed(token.top)) for token in tokens],
        "text_offset": offsets,
    }


def _entry(token: TokenLogprob) -> dict[str, Any]:
    top = [_pair(text, logprob) for text, logprob in token.top]
    return _pair(token.text, token.logprob) | {"top_logprobs": top}


def _pair(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}
