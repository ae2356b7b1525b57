"""A plugin of vLLM: top_p and top_k on a CPU without sorting the vocabulary, for a draw needs the likeliest tokens alone.

vLLM sorts every row, 262,144 numbers for Gemma, and draws a number of noise for each: at 32 rows that takes longer than the model. Here
the likeliest tokens are found, and one uniform number a row picks among them by the inverse of their distribution function. Only a row
whose nucleus is longer is looked at again. What is drawn has vLLM's distribution, though not, for the same seed, the same token.
`FYE_CPU_SAMPLING=0` turns it off.

Shapes: logits (rows, vocabulary), float32, divided by the temperature; k, p and uniform (rows,).
"""

import logging
from typing import Any

import torch

from serve.engine.vllm_cpu.compat import unfit

log = logging.getLogger(__name__)
SWITCH = "FYE_CPU_SAMPLING"
TIERS = (128, 4096)  # candidates that are tried before the whole vocabulary
CHUNK = 256  # tokens; the likeliest n tokens lie in the n chunks with the largest maxima


def install() -> None:
    """vLLM calls it in each of its processes."""
    reason = unfit(SWITCH)
    if reason:
        log.warning("the CPU sampler is vLLM's own: %s", reason)
        return
    from vllm.v1.sample.ops.topk_topp_sampler import PROCESSED_LOGPROBS_MODES, TopKTopPSampler

    stock = TopKTopPSampler.forward_cpu

    def forward_cpu(self: Any, logits: torch.Tensor, generators: dict[int, torch.Generator], k: Any, p: Any) -> Any:
        if self.use_fp64_gumbel or self.logprobs_mode in PROCESSED_LOGPROBS_MODES:  # these want the whole row
            return stock(self, logits, generators, k, p)
        return sample(logits, k, p, uniforms(len(logits), generators)), None

    TopKTopPSampler.forward_cpu = forward_cpu


def uniforms(rows: int, generators: dict[int, torch.Generator]) -> torch.Tensor:
    """One number a row, from the row's own generator if its request has a seed."""
    found = torch.rand(rows)
    for row, generator in generators.items():
        found[row] = torch.rand((), generator=generator)
    return found


def sample(logits: torch.Tensor, k: torch.Tensor | None, p: torch.Tensor | None, uniform: torch.Tensor) -> torch.Tensor:
    """One token of each row, (rows,). Without a limit k is the vocabulary's size or more, p is 1; `uniform` is in [0, 1)."""
    rows, size = logits.shape
    k = torch.full((rows,), size) if k is None else k
    p = torch.ones(rows) if p is None else p
    totals = torch.stack([row.logsumexp(-1) for row in logits])  # one row fits into the cache, the batch does not
    drawn, left = torch.empty(rows, dtype=torch.long), torch.arange(rows)
    for count in (*(tier for tier in TIERS if tier < size), size):
        values, tokens = likeliest(logits if len(left) == rows else logits[left], count)
        places, sure = _draw(values, totals[left], size, k[left], p[left], uniform[left])
        drawn[left] = tokens.gather(1, places[:, None])[:, 0]
        left = left[~sure]
        if not len(left):
            break
    return drawn


def likeliest(logits: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest logits, in order, and their tokens: (rows, count) each."""
    rows, size = logits.shape
    if size % CHUNK or size <= 2 * count * CHUNK:
        return logits.topk(count, dim=-1)
    chunks = logits.view(rows, size // CHUNK, CHUNK)
    places = chunks.amax(-1).topk(count, dim=-1, sorted=False).indices
    held = chunks.gather(1, places[:, :, None].expand(-1, -1, CHUNK)).view(rows, -1)
    values, within = held.topk(count, dim=-1)
    return values, places.gather(1, within // CHUNK) * CHUNK + within % CHUNK


def _draw(
    values: torch.Tensor, totals: torch.Tensor, size: int, k: torch.Tensor, p: torch.Tensor, uniform: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """A place among the candidates for each row, and whether it is the right one for all the `size` tokens of the vocabulary."""
    count = values.shape[1]
    values = values.masked_fill(torch.arange(count) >= k[:, None], float("-inf"))
    totals = torch.where(k < size, values.logsumexp(-1), totals)  # top_p is of what top_k has left
    shares = (values - totals[:, None]).exp()
    mass = shares.cumsum(-1)
    found = mass[:, -1]
    complete = (k <= count) | ((k >= size) & (found >= p)) | (count == size)  # the nucleus ends among the candidates
    nucleus = torch.where(mass - shares < p[:, None], mass, 0).amax(-1)  # a token is in it while those before have less than p
    target = uniform * torch.where(complete, nucleus, 1)
    sure = complete | ((k >= size) & (p >= 1) & (target < found))
    return (mass <= target[:, None]).sum(-1).clamp(max=count - 1), sure
