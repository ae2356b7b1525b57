"""Sampling of generated answers: settings, and a fast top-p sampler for transformers."""

from dataclasses import dataclass

import torch
from transformers import LogitsProcessor

from models.generation import DEFAULT_MAX_TOKENS, DEFAULT_TEMPERATURE, DEFAULT_TOP_P

MAX_NUCLEUS_TOKENS = 512


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """Token limit and sampling parameters of generated answers, by default those of serving."""

    max_tokens: int = DEFAULT_MAX_TOKENS
    temperature: float = DEFAULT_TEMPERATURE  # 0: greedy
    top_p: float = DEFAULT_TOP_P
    seed: int = 0


class NucleusSampler(LogitsProcessor):  # type: ignore[misc]
    """Top-p sampling (Holtzman et al. 2019, https://arxiv.org/abs/1904.09751).

    It draws the next token and gives it an infinite score, so that greedy search selects it.
    Transformers' own sampler would sort and draw over all 262,144 tokens, this one does over at
    most `MAX_NUCLEUS_TOKENS`. Probabilities are exact; a larger nucleus is cut.
    """

    def __init__(self, temperature: float, top_p: float) -> None:
        self.temperature = temperature
        self.top_p = top_p

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return `scores` `(batch, vocabulary)` with infinity at the drawn token of each row."""
        tokens, probabilities = self.nucleus(scores)
        drawn = tokens.gather(-1, torch.multinomial(probabilities, 1))
        return scores.scatter_(-1, drawn, torch.inf)

    def nucleus(self, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the ids and probabilities of the likeliest tokens, the likeliest first.

        Both are `(batch, at most MAX_NUCLEUS_TOKENS)`. Outside the nucleus the probability is 0.
        """
        scores = scores.float()
        best, tokens = scores.topk(min(MAX_NUCLEUS_TOKENS, scores.shape[-1]), dim=-1)
        normaliser = (scores / self.temperature).logsumexp(-1, keepdim=True)
        probabilities = (best / self.temperature - normaliser).exp()
        mass_before = probabilities.cumsum(-1) - probabilities
        return tokens, probabilities.masked_fill(mass_before >= self.top_p, 0)
