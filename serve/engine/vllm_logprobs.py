"""Conversion of vLLM's log-probabilities. Nothing here needs vLLM."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from serve.engine.protocol import TokenLogprob

LOWEST = -9999.0  # vLLM's own servers write it for minus infinity, which JSON does not have


class VllmLogprob(Protocol):
    """vLLM's entry of one token. `rank` is 1 for the likeliest token."""

    logprob: float
    rank: int | None
    decoded_token: str | None


def token_logprobs(
    token_ids: Sequence[int], positions: Sequence[Mapping[int, VllmLogprob]] | None, top: int | None
) -> tuple[TokenLogprob, ...]:
    """Return the entries of new tokens.

    Args:
        token_ids: the new tokens.
        positions: vLLM's entries by token id, for each new token; it may have the sampled token in
            addition to the likeliest ones.
        top: the number of likeliest tokens to return; None for no log-probabilities.
    """
    if top is None or not positions:
        return ()
    return tuple(
        _token(token, entries, top) for token, entries in zip(token_ids, positions, strict=False)
    )


def _token(token: int, entries: Mapping[int, VllmLogprob], top: int) -> TokenLogprob:
    ranked = sorted(entries.values(), key=lambda entry: entry.rank or len(entries))
    likeliest = tuple(_pair(entry) for entry in ranked[:top])
    return TokenLogprob(*_pair(entries[token]), likeliest)


def _pair(entry: VllmLogprob) -> tuple[str, float]:
    return entry.decoded_token or "", max(entry.logprob, LOWEST)
