"""The CPU sampling operator draws from the nucleus that vLLM would draw from, with the same odds."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.engine.vllm_cpu import sampling
from serve.engine.vllm_cpu.sampling import likeliest, sample, uniforms

DRAWS = 4001


def nucleus(logits: torch.Tensor, k: int, p: float) -> torch.Tensor:
    """Probabilities of one row after top_k and then top_p, in float64, as vLLM's documentation has them: sorted, summed, cut."""
    ordered, tokens = logits.double().sort(descending=True, stable=True)
    ordered[k:] = float("-inf")
    shares = ordered.softmax(-1)
    shares[shares.cumsum(-1) - shares >= p] = 0
    return torch.zeros_like(shares).scatter(0, tokens, shares / shares.sum())


def drawn_shares(logits: torch.Tensor, k: int, p: float) -> torch.Tensor:
    """How often each token of one row comes, over evenly spread uniform numbers: exact to one part in `DRAWS`."""
    rows = logits.expand(DRAWS, -1).contiguous()
    uniform = (torch.arange(DRAWS) + 0.5) / DRAWS
    found = sample(rows, torch.full((DRAWS,), k), torch.full((DRAWS,), p), uniform)
    return torch.bincount(found, minlength=logits.shape[0]) / DRAWS


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiers that a small vocabulary goes through, all three."""
    monkeypatch.setattr(sampling, "TIERS", (4, 16))
    monkeypatch.setattr(sampling, "CHUNK", 8)


@pytest.mark.parametrize("spread", [0.3, 1.5, 6.0])  # a nucleus of nearly all, of some, of few tokens
@pytest.mark.parametrize(("k", "p"), [(96, 0.8), (96, 1.0), (3, 1.0), (10, 0.5), (40, 0.95), (1, 0.1), (96, 1e-6), (95, 1.0)])
def test_each_token_comes_as_often_as_it_is_likely(spread: float, k: int, p: float, few: None) -> None:
    torch.manual_seed(1)
    logits = torch.randn(96) * spread
    torch.testing.assert_close(drawn_shares(logits, k, p).double(), nucleus(logits, k, p), atol=1.5 / DRAWS, rtol=1e-3)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 300), st.integers(1, 300), st.floats(0.01, 1), st.floats(0, 8), st.integers(0, 2**31))
def test_only_the_nucleus_is_drawn(rows: int, size: int, k: int, p: float, spread: float, seed: int) -> None:
    torch.manual_seed(seed)
    logits = torch.randn(rows, size) * spread
    found = sample(logits, torch.full((rows,), k), torch.full((rows,), p), torch.rand(rows))
    for row, token in enumerate(found.tolist()):
        inside = nucleus(logits[row], k, min(p + 1e-5, 1.0)) > 0  # a float32 sum may be a rounding short of p
        assert logits[row, token] >= logits[row, inside].min()  # of equals any may be the last


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 64), st.integers(0, 2**31))
def test_the_likeliest_are_found_by_chunks_as_by_sorting(rows: int, count: int, seed: int) -> None:
    torch.manual_seed(seed)
    logits = torch.randn(rows, 4 * 64 * sampling.CHUNK)
    values, tokens = likeliest(logits, count)
    assert torch.equal(values, logits.topk(count).values)
    assert torch.equal(logits.gather(1, tokens), values)


def test_rows_with_limits_of_their_own_do_not_disturb_each_other(few: None) -> None:
    torch.manual_seed(2)
    logits, k = torch.randn(4, 96), torch.tensor([96, 2, 96, 50])
    p, uniform = torch.tensor([0.3, 1.0, 1.0, 0.9]), torch.rand(4)
    alone = [sample(logits[row : row + 1], k[row : row + 1], p[row : row + 1], uniform[row : row + 1]) for row in range(4)]
    assert torch.equal(sample(logits, k, p, uniform), torch.cat(alone))


def test_it_is_vllms_nucleus() -> None:
    from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p_pytorch

    torch.manual_seed(3)
    logits = torch.randn(8, 5000) * 3
    k, p = torch.tensor([5000, 40] * 4), torch.tensor([0.8, 0.8, 1.0, 0.5] * 2)
    theirs = apply_top_k_top_p_pytorch(logits.clone(), k, p).softmax(-1)
    ours = torch.stack([nucleus(row, int(a), float(b)) for row, a, b in zip(logits, k, p, strict=True)])
    torch.testing.assert_close(ours.float(), theirs, atol=1e-5, rtol=1e-3)


def test_tokens_that_were_forbidden_never_come() -> None:
    logits = torch.full((3, 300), float("-inf"))
    logits[:, 7] = 1.0
    assert sample(logits, None, None, torch.tensor([0.0, 0.5, 0.999999])).tolist() == [7, 7, 7]


def test_a_seed_decides_its_row_alone() -> None:
    first = uniforms(3, {1: torch.Generator().manual_seed(5)})
    again = uniforms(2, {0: torch.Generator().manual_seed(5)})
    assert first[1] == again[0]
    assert first[0] != first[1]
