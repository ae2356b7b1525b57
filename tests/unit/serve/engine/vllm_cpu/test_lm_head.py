"""int8 LM head against float64: exact for the most likely tokens, close for all others."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.engine.vllm_cpu.compat import has_int8_dot_product
from serve.engine.vllm_cpu.lm_head import EXACT, INT8_MAX, Int8LMHead, quantize_rows

needs_int8 = pytest.mark.skipif(
    not has_int8_dot_product(), reason="the processor has no int8 dot product"
)


def weight_and_input(
    vocabulary: int, hidden: int, rows: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and channels of different sizes, as in a model."""
    torch.manual_seed(seed)
    weight = torch.randn(vocabulary, hidden) * torch.rand(vocabulary, 1)
    x = torch.randn(rows, hidden) * torch.rand(rows, hidden) * 5
    return weight.bfloat16(), x.bfloat16()


def scales(rows: torch.Tensor) -> torch.Tensor:
    return (rows.float().abs().amax(1) / INT8_MAX).double()


@needs_int8
@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 5000),
    st.integers(1, 12).map(lambda n: 16 * n),
    st.integers(1, 33),
    st.integers(0, 2**31),
)
def test_most_likely_tokens_are_exact_and_others_within_the_rounding_error(
    vocabulary: int, hidden: int, rows: int, seed: int
) -> None:
    weight, x = weight_and_input(vocabulary, hidden, rows, seed)
    exact = x.double() @ weight.double().t()
    found = Int8LMHead(weight)(x, weight)
    assert found.dtype is torch.float32
    assert found.shape == exact.shape
    error = (found - exact).abs()
    # Half of them: rounding may decide which of the last ones are among the most likely.
    best = exact.topk(min(EXACT // 2, vocabulary)).indices
    assert error.gather(1, best).max() < 1e-4 * exact.abs().max()
    x_scale = scales(x)[:, None]
    weight_scale = scales(weight)[None]
    x_error = x_scale / 2 * weight.double().abs().sum(1)[None]
    weight_error = weight_scale / 2 * (x.double().abs().sum(1)[:, None] + hidden * x_scale / 2)
    assert (error <= (x_error + weight_error) * 1.001 + 1e-5).all()


@needs_int8
def test_a_row_gets_the_same_logits_in_a_batch_and_alone() -> None:
    weight, x = weight_and_input(4096, 64, 32, 0)
    x[3] *= 1000  # a larger row does not change the scale of the others
    head = Int8LMHead(weight)
    together = head(x, weight)
    for row in range(0, 32, 7):
        alone = head(x[row : row + 1], weight)[0]
        torch.testing.assert_close(together[row], alone, atol=1e-4, rtol=1e-5)


@needs_int8
def test_the_default_dtype_does_not_matter() -> None:
    """vLLM sets bfloat16 while it loads a model."""
    weight, x = weight_and_input(512, 32, 2, 2)
    torch.set_default_dtype(torch.bfloat16)
    try:
        head = Int8LMHead(weight)
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(head(x, weight), Int8LMHead(weight)(x, weight), atol=0, rtol=0)


@needs_int8
def test_keeps_leading_shapes_and_adds_the_bias() -> None:
    weight, x = weight_and_input(512, 32, 6, 1)
    head = Int8LMHead(weight)
    bias = torch.randn(512).bfloat16()
    flat = head(x, weight)
    torch.testing.assert_close(head(x.view(2, 3, 32), weight), flat.view(2, 3, 512))
    torch.testing.assert_close(head(x, weight, bias), flat + bias)


@needs_int8
def test_zeros_give_zeros() -> None:
    weight, _ = weight_and_input(512, 32, 6, 1)
    assert (Int8LMHead(weight)(torch.zeros(2, 32, dtype=torch.bfloat16), weight) == 0).all()


def test_each_row_is_quantized_by_its_own_absmax() -> None:
    rows = torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0], [300.0, 3.0, -300.0]])
    values, row_scales = quantize_rows(rows)
    assert values.tolist() == [[64, -127, 32], [0, 0, 0], [127, 1, -127]]
    assert row_scales[[0, 2]].tolist() == pytest.approx([2 / 127, 300 / 127])
