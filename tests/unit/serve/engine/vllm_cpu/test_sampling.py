"""CPU sampling: the same nucleus as vLLM's, with the same probabilities."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.engine.vllm_cpu import sampling
from serve.engine.vllm_cpu.sampling import random_uniform, sample, top_logits

DRAWS = 4001


def nucleus(logits: torch.Tensor, k: int, p: float) -> torch.Tensor:
    """Probabilities of one row after top-k and then top-p, by sorting in float64."""
    ordered, tokens = logits.double().sort(descending=True, stable=True)
    ordered[k:] = float("-inf")
    shares = ordered.softmax(-1)
    shares[shares.cumsum(-1) - shares >= p] = 0
    return torch.zeros_like(shares).scatter(0, tokens, shares / shares.sum())


def drawn_shares(logits: torch.Tensor, k: int, p: float) -> torch.Tensor:
    """Share of each token in draws with evenly spread numbers: exact to one part in `DRAWS`."""
    rows = logits.expand(DRAWS, -1).contiguous()
    uniform = (torch.arange(DRAWS) + 0.5) / DRAWS
    found = sample(rows, torch.full((DRAWS,), k), torch.full((DRAWS,), p), uniform)
    return torch.bincount(found, minlength=logits.shape[0]) / DRAWS


@pytest.fixture
def few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of candidates that make a small vocabulary use all three rounds."""
    monkeypatch.setattr(sampling, "CANDIDATES", (4, 16))
    monkeypatch.setattr(sampling, "CHUNK", 8)


@pytest.mark.parametrize("spread", [0.3, 1.5, 6.0])  # a nucleus of nearly all, some, few tokens
@pytest.mark.parametrize(
    ("k", "p"),
    [(96, 0.8), (96, 1.0), (3, 1.0), (10, 0.5), (40, 0.95), (1, 0.1), (96, 1e-6), (95, 1.0)],
)
def test_tokens_are_drawn_with_their_probabilities(
    spread: float, k: int, p: float, few_candidates: None
) -> None:
    torch.manual_seed(1)
    logits = torch.randn(96) * spread
    found = drawn_shares(logits, k, p).double()
    torch.testing.assert_close(found, nucleus(logits, k, p), atol=1.5 / DRAWS, rtol=1e-3)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 300),
    st.integers(1, 300),
    st.floats(0.01, 1),
    st.floats(0, 8),
    st.integers(0, 2**31),
)
def test_only_tokens_of_the_nucleus_are_drawn(
    rows: int, size: int, k: int, p: float, spread: float, seed: int
) -> None:
    torch.manual_seed(seed)
    logits = torch.randn(rows, size) * spread
    found = sample(logits, torch.full((rows,), k), torch.full((rows,), p), torch.rand(rows))
    for row, token in enumerate(found.tolist()):
        # A float32 sum may be one rounding short of p.
        inside = nucleus(logits[row], k, min(p + 1e-5, 1.0)) > 0
        # Of equal logits, any may be the last one in the nucleus.
        assert logits[row, token] >= logits[row, inside].min()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 64), st.integers(0, 2**31))
def test_top_logits_by_chunk_are_those_of_topk(rows: int, count: int, seed: int) -> None:
    torch.manual_seed(seed)
    logits = torch.randn(rows, 4 * 64 * sampling.CHUNK)
    values, tokens = top_logits(logits, count)
    assert torch.equal(values, logits.topk(count).values)
    assert torch.equal(logits.gather(1, tokens), values)


def test_rows_with_different_limits_get_what_they_get_alone(few_candidates: None) -> None:
    torch.manual_seed(2)
    logits = torch.randn(4, 96)
    k = torch.tensor([96, 2, 96, 50])
    p = torch.tensor([0.3, 1.0, 1.0, 0.9])
    uniform = torch.rand(4)
    parts = [slice(row, row + 1) for row in range(4)]
    alone = [sample(logits[part], k[part], p[part], uniform[part]) for part in parts]
    assert torch.equal(sample(logits, k, p, uniform), torch.cat(alone))


def test_the_nucleus_is_vllms() -> None:
    from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p_pytorch

    torch.manual_seed(3)
    logits = torch.randn(8, 5000) * 3
    k = torch.tensor([5000, 40] * 4)
    p = torch.tensor([0.8, 0.8, 1.0, 0.5] * 2)
    theirs = apply_top_k_top_p_pytorch(logits.clone(), k, p).softmax(-1)
    ours = [nucleus(row, int(a), float(b)) for row, a, b in zip(logits, k, p, strict=True)]
    torch.testing.assert_close(torch.stack(ours).float(), theirs, atol=1e-5, rtol=1e-3)


def test_forbidden_tokens_are_never_drawn() -> None:
    logits = torch.full((3, 300), float("-inf"))
    logits[:, 7] = 1.0
    assert sample(logits, None, None, torch.tensor([0.0, 0.5, 0.999999])).tolist() == [7, 7, 7]


def test_a_seed_decides_only_its_own_row() -> None:
    first = random_uniform(3, {1: torch.Generator().manual_seed(5)})
    again = random_uniform(2, {0: torch.Generator().manual_seed(5)})
    assert first[1] == again[0]
    assert first[0] != first[1]
