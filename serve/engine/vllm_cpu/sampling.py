"""Top-p and top-k sampling on a CPU without sorting the vocabulary.

vLLM sorts every row, 262,144 logits for Gemma, and draws a random number for each of them. With 32
rows that takes longer than the model. A draw needs only the most likely tokens: they are found by
chunk, and one uniform number per row selects one of them by inverting the distribution function.
Only rows with a longer nucleus are looked at again with more candidates. The distribution is
vLLM's, but for one seed the token is another.

Shapes: logits (rows, vocabulary), float32, divided by the temperature; k, p and uniform (rows,).
"""

from typing import NamedTuple

import torch

CANDIDATES = (128, 4096)  # numbers of candidates to try before the whole vocabulary
CHUNK = 256  # tokens; the top n tokens lie in the n chunks with the largest maxima


class _Limits(NamedTuple):
    """Sampling limits and random numbers, one of each per row.

    Attributes:
        totals: log-sum-exp of the whole row.
        k: as in `sample`.
        p: as in `sample`.
        uniform: as in `sample`.
    """

    totals: torch.Tensor
    k: torch.Tensor
    p: torch.Tensor
    uniform: torch.Tensor

    def of(self, rows: torch.Tensor) -> "_Limits":
        """Return the limits of some rows."""
        return _Limits(*(values[rows] for values in self))


def random_uniform(rows: int, generators: dict[int, torch.Generator]) -> torch.Tensor:
    """Draw a number in [0, 1) per row, from the row's own generator if its request has a seed."""
    uniform = torch.rand(rows)
    for row, generator in generators.items():
        uniform[row] = torch.rand((), generator=generator)
    return uniform


def sample(
    logits: torch.Tensor, k: torch.Tensor | None, p: torch.Tensor | None, uniform: torch.Tensor
) -> torch.Tensor:
    """Draw a token of each row, (rows,).

    Args:
        logits: (rows, vocabulary).
        k: candidates of each row; the vocabulary's size or more for no limit. None: no limits.
        p: probability mass of each row's nucleus; 1 for no limit. None: no limits.
        uniform: a number in [0, 1) for each row.
    """
    rows, size = logits.shape
    # One row at a time fits into the processor's cache; the whole batch does not.
    totals = torch.stack([row.logsumexp(-1) for row in logits])
    k = torch.full((rows,), size) if k is None else k
    limits = _Limits(totals, k, torch.ones(rows) if p is None else p, uniform)
    drawn = torch.empty(rows, dtype=torch.long)
    open_rows = torch.arange(rows)
    for count in (*(count for count in CANDIDATES if count < size), size):
        open_logits = logits if len(open_rows) == rows else logits[open_rows]
        values, tokens = top_logits(open_logits, count)
        ranks, final = _draw(values, size, limits.of(open_rows))
        drawn[open_rows] = tokens.gather(1, ranks[:, None])[:, 0]
        open_rows = open_rows[~final]
        if not len(open_rows):
            break
    return drawn


def top_logits(logits: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the largest logits in descending order and their tokens, (rows, count) each."""
    rows, size = logits.shape
    if size % CHUNK or size <= 2 * count * CHUNK:
        return logits.topk(count, dim=-1)
    chunks = logits.view(rows, size // CHUNK, CHUNK)
    best_chunks = chunks.amax(-1).topk(count, dim=-1, sorted=False).indices
    selected = chunks.gather(1, best_chunks[:, :, None].expand(-1, -1, CHUNK)).view(rows, -1)
    values, positions = selected.topk(count, dim=-1)
    return values, best_chunks.gather(1, positions // CHUNK) * CHUNK + positions % CHUNK


def _draw(values: torch.Tensor, size: int, limits: _Limits) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw one of the candidates of each row.

    Args:
        values: logits of the candidates in descending order, (rows, count).
        size: the vocabulary's size.
        limits: those of the same rows.

    Returns:
        The rank of the drawn candidate, and whether more candidates could not change the draw.
    """
    totals, k, p, uniform = limits
    count = values.shape[1]
    values = values.masked_fill(torch.arange(count) >= k[:, None], float("-inf"))
    # Top-p applies to the distribution that top-k leaves.
    totals = torch.where(k < size, values.logsumexp(-1), totals)
    shares = (values - totals[:, None]).exp()
    mass = shares.cumsum(-1)
    total_mass = mass[:, -1]
    # The nucleus ends among the candidates.
    complete = (k <= count) | ((k >= size) & (total_mass >= p)) | (count == size)
    # A token is in the nucleus while the tokens before it have less than p.
    nucleus = torch.where(mass - shares < p[:, None], mass, 0).amax(-1)
    target = uniform * torch.where(complete, nucleus, 1)
    final = complete | ((k >= size) & (p >= 1) & (target < total_mass))
    return (mass <= target[:, None]).sum(-1).clamp(max=count - 1), final
